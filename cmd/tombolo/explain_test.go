package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/state-summary":
			_, _ = w.Write([]byte(`{"frameworks":[{"id":"f-1","name":"batch"}]}`))
		case r.URL.Query().Get("framework_id") == "f 1":
			_, _ = w.Write([]byte(`{"framework_id":"f 1","summary":["In short."],"reasons":[{"role":"r","agent_id":"a1","why":"limit","reason":"In full."}]}`))
		default:
			http.Error(w, "no framework is known here", http.StatusNotFound)
		}
	}))
	defer server.Close()
	run := func(args ...string) (string, error) {
		cmd := root()
		var out strings.Builder
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(args)
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	at := "--master=127.0.0.1:1," + strings.TrimPrefix(server.URL, "http://")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"explain", at, "f 1"}, "In short.\n"},
		{[]string{"explain", at, "--agents", "f 1"}, "r     a1     limit  In full."},
		{[]string{"explain", at, "--json", "f 1"}, `"why":"limit"`},
		{[]string{"__complete", "explain", at, ""}, "f-1\tbatch\n"},
	} {
		if out, err := run(c.args...); err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%v: got %q, %v", c.args, out, err)
		}
	}
	if _, err := run("explain", at, "other"); err == nil || !strings.Contains(err.Error(), "no framework is known here") {
		t.Errorf("got %v", err)
	}
}
