package security

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func parse(t testing.TB, document string) *ACLs {
	t.Helper()
	a, err := ParseACLs([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTheFirstEntryThatMatchesDecides(t *testing.T) {
	a := parse(t, `{
		"permissive": false,
		"register_frameworks": [
			{"principals": {"values": ["foo"]}, "roles": {"values": ["analytics", "ads/%"]}},
			{"principals": {"values": ["foo"]}, "roles": {"type": "NONE"}},
			{"principals": {"type": "ANY"}, "roles": {"values": ["*"]}}
		],
		"run_tasks": [
			{"principals": {"values": ["ops"]}, "users": {"type": "ANY"}},
			{"principals": {"type": "NONE"}, "users": {"values": ["root"]}},
			{"principals": {"type": "ANY"}, "users": {"values": ["nobody"]}}
		],
		"register_agents": [{"principals": {"values": ["agent"]}, "agents": {"type": "ANY"}}],
		"get_endpoints": [{"principals": {"values": ["ops"]}, "paths": {"values": ["/metrics/snapshot"]}}]
	}`)
	ops, foo, nobody := Principal{Name: "ops"}, Principal{Name: "foo"}, Principal{}
	for i, c := range []struct {
		p    Principal
		do   Action
		o    Object
		want bool
	}{
		{foo, RegisterFramework, Named("analytics"), true},
		{foo, RegisterFramework, Named("ads/web"), true},
		{foo, RegisterFramework, Named("ads/web/eu"), true},
		{foo, RegisterFramework, Named("ads"), false},
		{foo, RegisterFramework, Named("adsense"), false},
		{foo, RegisterFramework, Named("*"), false}, // the second entry speaks of everything
		{ops, RegisterFramework, Named("*"), true},
		{ops, RegisterFramework, Named("analytics"), false},
		{nobody, RegisterFramework, Named("*"), true},
		{nobody, RegisterFramework, Named("ads/web"), false},
		{ops, RunTask, Named("root"), true},
		{foo, RunTask, Named("root"), false},
		{foo, RunTask, Named("nobody"), true},
		{foo, RunTask, Named("www"), false},
		{foo, RunTask, Object{}, false},
		{ops, RunTask, Object{}, true},
		{Principal{Name: "agent"}, RegisterAgent, Object{}, true},
		{Principal{Name: "agent"}, RegisterAgent, Named("anything"), true},
		{nobody, RegisterAgent, Object{}, false},
		{ops, GetEndpointWithPath, Named("/metrics/snapshot"), true},
		{ops, GetEndpointWithPath, Named("/files/debug"), false},
		{ops, ViewFlags, Object{}, false}, // no list at all, and not permissive
		{Principal{Claims: map[string]string{"cid": "x"}}, RegisterFramework, Named("*"), false},
		{ops, Action(9999), Object{}, false},
	} {
		if got := a.Authorize(c.p, c.do, c.o); got != c.want {
			t.Errorf("case %d: %+v %s %+v: %t", i, c.p, c.do, c.o, got)
		}
	}
	if !a.AuthorizeAll(foo, RegisterFramework, []string{"analytics", "ads/x"}) || a.AuthorizeAll(foo, RegisterFramework, []string{"analytics", "ads"}) {
		t.Error("every role must be allowed")
	}
	if a.AuthorizeAll(foo, RegisterFramework, nil) || !parse(t, `{}`).AuthorizeAll(foo, RegisterFramework, nil) {
		t.Error("without a role, what is permissive decides")
	}
	var without *ACLs
	if !without.Authorize(nobody, RunTask, Named("root")) || !without.For(nobody).Unrestricted(RunTask) {
		t.Error("without ACLs everything is allowed")
	}
}

func TestBothListsOfANestedContainerMustAllow(t *testing.T) {
	a := parse(t, `{"launch_nested_containers_as_user": [{"principals": {"values": ["p"]}, "users": {"values": ["root"]}},
		{"principals": {"type": "ANY"}, "users": {"type": "NONE"}}]}`)
	if !a.Authorize(Principal{Name: "p"}, LaunchNestedContainer, Named("root")) || a.Authorize(Principal{Name: "q"}, LaunchNestedContainer, Named("root")) {
		t.Error("the second list is not looked at")
	}
}

func TestWhatACLsMustNotBe(t *testing.T) {
	for document, want := range map[string]string{
		``:                           "JSON",
		`[]`:                         "JSON",
		`null`:                       "JSON",
		`{} {}`:                      "follows",
		`{"permissive": "yes"}`:      "permissive",
		`{"register_framework": []}`: `no list "register_framework"`,
		`{"run_tasks": {}}`:          "run_tasks",
		`{"run_tasks": [{"users": {"type": "ANY"}}]}`:                                                                   `"principals" is missing`,
		`{"run_tasks": [{"principals": {"type": "ANY"}}]}`:                                                              `run_tasks[0]: "users" is missing`,
		`{"run_tasks": [{"principals": {"type": "ANY"}, "user": {"type": "ANY"}}]}`:                                     `"user" is neither`,
		`{"run_tasks": [{"principals": {"type": "any"}, "users": {"type": "ANY"}}]}`:                                    `type "any"`,
		`{"run_tasks": [{"principals": {}, "users": {"type": "ANY"}}]}`:                                                 "neither a type nor values",
		`{"run_tasks": [{"principals": {"values": ["a"], "x": 1}, "users": {"type": "ANY"}}]}`:                          "unknown field",
		`{"run_tasks": [{"principals": {"type": "ANY"}, "users": {"values": ["a/%"]}}]}`:                                "roles",
		`{"view_flags": [{"principals": {"type": "ANY"}, "flags": {"values": ["a"]}}]}`:                                 "ANY or NONE",
		`{"get_endpoints": [{"principals": {"type": "ANY"}, "paths": {"values": ["/state"]}}]}`:                         "/state",
		`{"register_agents": [{"principals": {"type": "ANY"}, "agents": {"type": "SOME", "values": ["` + "x" + `"]}}]}`: "ANY or NONE",
	} {
		if _, err := ParseACLs([]byte(document)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", document, err)
		}
	}
}

func TestEveryListOfTheDocumentIsKnown(t *testing.T) {
	for action, k := range kinds {
		for _, key := range k.lists {
			text := fmt.Sprintf(`{"permissive": true, %q: [{"principals": {"values": ["bad"]}, %q: {"type": "NONE"}}]}`, key, k.field)
			a := parse(t, text)
			if a.Authorize(Principal{Name: "bad"}, action, Object{}) || !a.Authorize(Principal{Name: "good"}, action, Object{}) {
				t.Errorf("%s is not governed by %s", action, key)
			}
		}
	}
	if len(kinds) != 53 {
		t.Errorf("%d actions", len(kinds))
	}
}

// The oracle decides as Mesos's tables of what matches and what allows say, cell by cell, without sharing code.
type oracleEntity struct {
	Type   string   `json:"type,omitempty"`
	Values []string `json:"values,omitempty"`
}

func (e oracleEntity) has(name string) bool {
	for _, v := range e.Values {
		if v == name || strings.HasSuffix(v, "/%") && strings.HasPrefix(name, v[:len(v)-1]) {
			return true
		}
	}
	return false
}

func oracleMatches(asked *string, e oracleEntity) bool {
	if asked == nil {
		return e.Type == "ANY" || e.Type == "NONE"
	}
	return e.Type != "" || e.has(*asked)
}

func oracleAllows(asked *string, e oracleEntity) bool {
	if asked == nil {
		return e.Type == "ANY"
	}
	return e.Type == "ANY" || e.Type == "" && e.has(*asked)
}

func TestAgainstALiteralReadingOfTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "a/b", "a/b/c"}
		entity := func(values []string) *rapid.Generator[oracleEntity] {
			return rapid.Custom(func(t *rapid.T) oracleEntity {
				e := oracleEntity{Type: rapid.SampledFrom([]string{"", "", "ANY", "NONE"}).Draw(t, "type")}
				if e.Type == "" {
					e.Values = rapid.SliceOfN(rapid.SampledFrom(values), 1, 3).Draw(t, "values")
				}
				return e
			})
		}
		type entry struct {
			Principals oracleEntity `json:"principals"`
			Roles      oracleEntity `json:"roles"`
		}
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) entry {
			return entry{entity(names[:2]).Draw(t, "principals"), entity(append(names, "a/%", "a/b/%")).Draw(t, "roles")}
		}), 0, 5).Draw(t, "entries")
		permissive := rapid.Bool().Draw(t, "permissive")
		text, err := json.Marshal(map[string]any{"permissive": permissive, "view_roles": list})
		if err != nil {
			t.Fatal(err)
		}
		acls, err := ParseACLs(text)
		if err != nil {
			t.Fatal(err)
		}
		who, what := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "who"), rapid.SampledFrom(append(names, "")).Draw(t, "what")
		var subject, object *string
		o := Object{}
		if who != "" {
			subject = &who
		}
		if what != "" {
			object, o = &what, Named(what)
		}
		want := permissive
		for _, e := range list {
			if oracleMatches(subject, e.Principals) && oracleMatches(object, e.Roles) {
				want = oracleAllows(subject, e.Principals) && oracleAllows(object, e.Roles)
				break
			}
		}
		p := Principal{Name: who}
		if got := acls.Authorize(p, ViewRole, o); got != want {
			t.Fatalf("%s: %q on %q: %t", text, who, what, got)
		}
		if acls.For(p).Unrestricted(ViewRole) && !acls.Authorize(p, ViewRole, o) {
			t.Fatalf("%s: %q is unrestricted but may not %q", text, who, what)
		}
	})
}

func FuzzParseACLs(f *testing.F) {
	f.Add([]byte(`{"permissive": false, "run_tasks": [{"principals": {"values": ["a"]}, "users": {"type": "ANY"}}]}`))
	f.Add([]byte(`{"view_roles": [{"principals": {"type": "NONE"}, "roles": {"values": ["a/%"]}}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		a, err := ParseACLs(document)
		if err != nil {
			return
		}
		for action := range kinds {
			a.Authorize(Principal{Name: "a"}, action, Named("a/b"))
			a.For(Principal{}).Unrestricted(action)
		}
	})
}
