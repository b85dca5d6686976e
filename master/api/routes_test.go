package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/mesos/codec"
)

// unguarded is a server that asks nobody who they are, with a log of 100,000 bytes.
func unguarded(t testing.TB) *Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "master.log")
	if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789"), 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &orders{}
	if tt, ok := t.(*testing.T); ok {
		port := uint32(5050)
		b.view = aView(tt)
		b.view.Master.Port = &port
	}
	return New(b, Facts{
		Started: time.Now(), Meters: &Meters{}, Verbosity: NewVerbosity(new(slog.LevelVar)), Flags: map[string]string{"port": "5050"},
		Files: map[string]string{"/master/log": file}, LogDir: filepath.Dir(file), PerFrameworkMetrics: true,
	}, slog.New(slog.DiscardHandler))
}

func do(s *Server, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// LEG: every read answers JSON, under /master too where it has an alias, as JSONP and compressed, and keeps to its methods.
func TestLEG_EveryReadInEveryForm(t *testing.T) {
	s := unguarded(t)
	aliased := []string{"/state", "/state-summary", "/slaves", "/frameworks", "/tasks", "/roles", "/weights", "/quota", "/maintenance/schedule", "/maintenance/status", "/version", "/flags"}
	alone := []string{"/metrics/snapshot", "/system/stats.json", "/__processes__", "/files/debug", "/tombolo/flags", "/files/browse?path=/master/log", "/files/read?path=/master/log&offset=0&length=5", "/registrar(1)/registry"}
	for _, path := range aliased {
		alone = append(alone, path, "/master"+path)
	}
	for _, path := range alone {
		plain := do(s, http.MethodGet, path, "")
		if plain.Code != http.StatusOK || plain.Header().Get("Content-Type") != codec.MediaTypeJSON || !json.Valid(plain.Body.Bytes()) {
			t.Errorf("%s: %d %s %.100s", path, plain.Code, plain.Header().Get("Content-Type"), plain.Body)
		}
		sign := "?"
		if strings.Contains(path, "?") {
			sign = "&"
		}
		padded := do(s, http.MethodGet, path+sign+"jsonp=angular.callbacks._0", "")
		if text := padded.Body.String(); padded.Header().Get("Content-Type") != "text/javascript" || !strings.HasPrefix(text, "angular.callbacks._0(") || !strings.HasSuffix(text, ")") {
			t.Errorf("%s as JSONP: %.100s", path, text)
		}
		if w := do(s, http.MethodGet, path+sign+"jsonp="+url.QueryEscape("alert(1)//"), ""); w.Code != http.StatusBadRequest {
			t.Errorf("%s calls back a script: %d", path, w.Code)
		}
		zipped := do(s, http.MethodGet, path, "", "Accept-Encoding", "gzip")
		if zipped.Header().Get("Content-Encoding") == "gzip" {
			in, err := gzip.NewReader(zipped.Body)
			if err != nil {
				t.Fatal(err)
			}
			if data, err := io.ReadAll(in); err != nil || !json.Valid(data) {
				t.Errorf("%s compressed: %v", path, err)
			}
		}
	}
}

// OPR-05 to OPR-08: each reading call in each pair of media types, and what is malformed.
func TestOPR_EveryReadingCallInEveryMediaType(t *testing.T) {
	s := unguarded(t)
	calls := []*master.Call{
		{Type: master.Call_GET_HEALTH}, {Type: master.Call_GET_FLAGS}, {Type: master.Call_GET_VERSION}, {Type: master.Call_GET_METRICS, GetMetrics: &master.Call_GetMetrics{}},
		{Type: master.Call_GET_LOGGING_LEVEL}, {Type: master.Call_GET_STATE}, {Type: master.Call_GET_AGENTS}, {Type: master.Call_GET_FRAMEWORKS},
		{Type: master.Call_GET_EXECUTORS}, {Type: master.Call_GET_OPERATIONS}, {Type: master.Call_GET_TASKS}, {Type: master.Call_GET_ROLES}, {Type: master.Call_GET_WEIGHTS},
		{Type: master.Call_GET_MASTER}, {Type: master.Call_GET_MAINTENANCE_STATUS}, {Type: master.Call_GET_MAINTENANCE_SCHEDULE}, {Type: master.Call_GET_QUOTA},
		{Type: master.Call_LIST_FILES, ListFiles: &master.Call_ListFiles{Path: "/master/log"}}, {Type: master.Call_READ_FILE, ReadFile: &master.Call_ReadFile{Path: "/master/log"}},
	}
	for _, call := range calls {
		var said []*master.Response
		for _, in := range []codec.Codec{codec.JSON, codec.Protobuf} {
			body, err := in.Marshal(call)
			if err != nil {
				t.Fatal(err)
			}
			for _, out := range []codec.Codec{codec.JSON, codec.Protobuf} {
				w := do(s, http.MethodPost, "/api/v1", string(body), "Content-Type", in.MediaType(), "Accept", out.MediaType())
				m := &master.Response{}
				if err := out.Unmarshal(w.Body.Bytes(), m); err != nil || w.Code != http.StatusOK || w.Header().Get("Content-Type") != out.MediaType() || m.Type.String() != call.Type.String() {
					t.Errorf("%s from %s to %s: %d %v %.200s", call.Type, in.MediaType(), out.MediaType(), w.Code, err, w.Body)
				}
				said = append(said, m)
			}
			if w := do(s, http.MethodPost, "/api/v1", string(body), "Content-Type", in.MediaType(), "Accept", "text/html"); w.Code != http.StatusNotAcceptable {
				t.Errorf("%s as text/html: %d", call.Type, w.Code)
			}
		}
		if call.Type == master.Call_GET_METRICS {
			continue // they change
		}
		for _, m := range said[1:] {
			if !same(m, said[0]) {
				t.Errorf("%s says one thing and another:\n%s\n%s", call.Type, raw(said[0]), raw(m))
			}
		}
	}
}

func TestOPR_MalformedCalls(t *testing.T) {
	s := unguarded(t)
	for _, x := range []struct {
		method, media, body string
		want                int
	}{
		{"GET", codec.MediaTypeJSON, "", 405}, {"PUT", codec.MediaTypeJSON, "{}", 405}, {"POST", "", "{}", 400}, {"POST", "text/plain", "{}", 415},
		{"POST", codec.MediaTypeJSON, "", 400}, {"POST", codec.MediaTypeJSON, "{", 400}, {"POST", codec.MediaTypeJSON, "[]", 400}, {"POST", codec.MediaTypeJSON, "{}", 400},
		{"POST", codec.MediaTypeJSON, `{"type":7}`, 400}, {"POST", codec.MediaTypeJSON, `{"type":"NONE"}`, 400}, {"POST", codec.MediaTypeJSON, `{"type":"UNKNOWN"}`, 501},
		{"POST", codec.MediaTypeProtobuf, "\xff\xff", 400}, {"POST", codec.MediaTypeJSON, `{"type":"READ_FILE"}`, 400}, {"POST", codec.MediaTypeJSON, `{"type":"READ_FILE","read_file":{"path":"/master/log"}}`, 400},
		{"POST", codec.MediaTypeJSON, `{"type":"LIST_FILES","list_files":{"path":"/none"}}`, 404}, {"POST", codec.MediaTypeJSON, `{"type":"LIST_FILES","list_files":{"path":"/master/log/../x"}}`, 400},
		{"POST", codec.MediaTypeJSON, `{"type":"READ_FILE","read_file":{"path":"/etc/passwd","offset":0}}`, 404},
		{"POST", codec.MediaTypeJSON, `{"type":"SET_LOGGING_LEVEL","set_logging_level":{"level":1}}`, 400},
	} {
		if w := do(s, x.method, "/api/v1", x.body, "Content-Type", x.media); w.Code != x.want {
			t.Errorf("%s of %q as %q: %d, want %d: %s", x.method, x.body, x.media, w.Code, x.want, w.Body)
		}
	}
}

// OP1-07: reads are cut to 16 pages and to the file.
func TestOP107_ReadsArePagesOfTheFile(t *testing.T) {
	s := unguarded(t)
	for _, x := range []struct {
		query  string
		offset int64
		size   int
		status int
	}{
		{"offset=0", 0, 65536, 200}, {"offset=0&length=-1", 0, 65536, 200}, {"offset=99990", 99990, 10, 200}, {"offset=99990&length=3", 99990, 3, 200},
		{"offset=100000", 100000, 0, 200}, {"offset=200000", 200000, 0, 200}, {"offset=-1", 100000, 0, 200}, {"", 100000, 0, 200}, {"offset=5&length=0", 5, 0, 200},
		{"offset=-2", 0, 0, 400}, {"offset=x", 0, 0, 400}, {"offset=0&length=-2", 0, 0, 400}, {"offset=0&length=", 0, 0, 400}, {"offset=", 0, 0, 400},
		{"offset=99999999999999999999", 0, 0, 400},
	} {
		w := do(s, http.MethodGet, "/files/read?path=/master/log&"+x.query, "")
		var got struct {
			Offset int64
			Data   string
		}
		if w.Code != x.status {
			t.Errorf("%s: %d, want %d", x.query, w.Code, x.status)
			continue
		}
		if x.status == 200 && (json.Unmarshal(w.Body.Bytes(), &got) != nil || got.Offset != x.offset || len(got.Data) != x.size) {
			t.Errorf("%s: %d bytes at %d, want %d at %d", x.query, len(got.Data), got.Offset, x.size, x.offset)
		}
	}
	most := uint64(1 << 40)
	body, err := codec.Protobuf.Marshal(&master.Call{Type: master.Call_READ_FILE, ReadFile: &master.Call_ReadFile{Path: "/master/log", Offset: 10, Length: &most}})
	if err != nil {
		t.Fatal(err)
	}
	w := do(s, http.MethodPost, "/api/v1", string(body), "Content-Type", codec.MediaTypeProtobuf, "Accept", codec.MediaTypeProtobuf)
	m := &master.Response{}
	if err := proto.Unmarshal(w.Body.Bytes(), m); err != nil || len(m.GetReadFile().GetData()) != 65536 || m.ReadFile.Size_ != 100_000 {
		t.Errorf("%d bytes, %v", len(m.GetReadFile().GetData()), err)
	}
	if w := do(s, http.MethodGet, "/files/download?path=/master/log", ""); w.Code != 200 || w.Body.Len() != 100_000 {
		t.Errorf("download: %d, %d bytes", w.Code, w.Body.Len())
	}
}

// OP1-05: a level is set for a while; the last one decides.
func TestOP105_TheLogLevelFallsBack(t *testing.T) {
	least := new(slog.LevelVar)
	v := NewVerbosity(least)
	v.Set(3, time.Hour)
	if v.Level() != 3 || least.Level() != slog.LevelDebug {
		t.Fatalf("%d, %s", v.Level(), least.Level())
	}
	v.Set(2, time.Millisecond)
	for deadline := time.Now().Add(patience); v.Level() != 0 || least.Level() != slog.LevelInfo; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still %d, %s", v.Level(), least.Level())
		}
	}
}

// FuzzQueries: no query of any read makes the master fail.
func FuzzQueries(f *testing.F) {
	for _, q := range []string{"limit=1&offset=2&order=asc", "limit=-1", "framework_id=f-alice", "slave_id=a", "path=/master/log&offset=-1", "path=/master/log&offset=3&length=4", "level=1&duration=1ms", "timeout=5secs", "jsonp=f", "%zz", "a=b;c"} {
		f.Add(q)
	}
	s := unguarded(f)
	s.backend.(*orders).view = aView(&testing.T{})
	paths := []string{"/tasks", "/slaves", "/frameworks", "/files/read", "/files/browse", "/files/download", "/metrics/snapshot", "/state", "/logging/toggle", "/roles"}
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range paths {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.URL.RawQuery = query
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code >= 500 {
				t.Fatalf("%s?%s: %d %s", path, query, w.Code, w.Body)
			}
			if w.Code == 200 && w.Header().Get("Content-Type") == codec.MediaTypeJSON && !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%s?%s: %s", path, query, w.Body)
			}
		}
	})
}

// FuzzText: strings and numbers are what encoding/json reads back.
func FuzzText(f *testing.F) {
	f.Add("plain", 1.5)
	f.Add("\x00\x1f\"\\<>& \xff\u2028é", 1e300)
	f.Fuzz(func(t *testing.T, s string, x float64) {
		var out text
		out.open('[')
		out.string(s)
		out.number(x)
		out.close(']')
		var got []any
		if err := json.Unmarshal(out, &got); err != nil || len(got) != 2 {
			t.Fatalf("%q: %v", out, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); fmt.Sprint(got[0]) != want && len(strings.ToValidUTF8(s, "")) == len(s) {
			t.Fatalf("%q, want %q", got[0], want)
		}
		if x-x == 0 && got[1] != x {
			t.Fatalf("%v, want %v", got[1], x)
		}
	})
}
