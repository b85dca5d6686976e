package archtest

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestArchitecture checks the tree as it is.
func TestArchitecture(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	packages, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 3 {
		t.Fatalf("only %d packages found under %s: the test looks at the wrong place", len(packages), root)
	}
	found := CheckImports(packages)
	inSource, err := CheckSource(packages)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range append(found, inSource...) {
		t.Error(v)
	}
}

// TestAreasExplainThemselves checks the rules themselves.
func TestAreasExplainThemselves(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range Areas {
		if a.Why == "" {
			t.Errorf("area %s has no reason", a.Dir)
		}
		if seen[a.Dir] {
			t.Errorf("area %s is listed twice", a.Dir)
		}
		seen[a.Dir] = true
	}
	for _, f := range append(append([]Forbidden{}, PureForbidden...), Banned...) {
		if f.Why == "" {
			t.Errorf("the ban of %s has no reason", f.Path)
		}
		stdlib := !strings.Contains(strings.SplitN(f.Path, "/", 2)[0], ".")
		if f.Transitive && stdlib {
			t.Errorf("the ban of %s is transitive: fmt imports half of the standard library", f.Path)
		}
	}
}

// own builds a synthetic package of the module; imports that start with "./" are relative to it.
func own(dir string, imports ...string) Package {
	p := Package{ImportPath: Module + "/" + dir, Name: filepath.Base(dir), Doc: "Package x.", GoFiles: []string{"x.go"}}
	for _, i := range imports {
		if rest, ok := strings.CutPrefix(i, "./"); ok {
			i = Module + "/" + rest
		}
		p.Imports = append(p.Imports, i)
	}
	p.Deps = p.Imports
	return p
}

// TestRulesBite feeds each rule a package that breaks it: a rule that never fires is no rule.
func TestRulesBite(t *testing.T) {
	through := own("agent", "example.com/x")
	through.Deps = []string{"example.com/x", "k8s.io/client-go/kubernetes"}
	silent := own("offers")
	silent.Doc = " "
	vague := own("master/helpers")
	withCgo := own("agent/containers")
	withCgo.CgoFiles = []string{"c.go"}

	cases := []struct {
		name string
		p    Package
		want string // part of the one violation; "" = none
	}{
		{"down is free", own("master", "./mesos/codec", "./offers", "./master/core", "net/http"), ""},
		{"inside an area is free", own("master/api", "./master/registry"), ""},
		{"master imports agent", own("master", "./agent"), "master imports agent: master, agent and bridge meet on the wire"},
		{"agent imports master", own("agent/api", "./master/core"), "agent/api imports master/core"},
		{"bridge imports master", own("bridge", "./master"), "bridge imports master"},
		{"master imports bridge", own("master", "./bridge"), "master imports bridge"},
		{"wire imports offers", own("mesos/codec", "./offers"), "mesos/codec imports offers"},
		{"core imports its shell", own("master/core", "./master/registry"), "master/core imports master/registry"},
		{"anything imports cmd", own("datacenter", "./cmd/tombolo"), "datacenter imports cmd/tombolo"},
		{"one framework imports another", own("frameworks/marathon", "./frameworks/batch"), "frameworks/marathon imports frameworks/batch"},
		{"framework imports the session", own("frameworks/batch", "./frameworks/session"), ""},
		{"executor sees podapi", own("executor/pod", "./virtualnode/podapi"), ""},
		{"executor sees virtualnode", own("executor/pod", "./virtualnode"), "executor/pod imports virtualnode"},
		{"prefix is not a directory", own("master", "./mesosphere"), "master imports mesosphere"},
		{"unknown directory", own("surprise"), "surprise stands in no area"},
		{"pure imports net", own("offers", "net"), "offers imports net: a pure package has no sockets"},
		{"pure may use netip", own("offers", "net/netip"), ""},
		{"pure imports os", own("agent/core", "os"), "agent/core imports os"},
		{"pure imports os/exec", own("agent/core", "os/exec"), "agent/core imports os/exec"},
		{"pure logs", own("master/core", "log/slog"), "master/core imports log/slog"},
		{"pure rolls dice", own("offers", "math/rand"), "offers imports math/rand"},
		{"pure waits", own("virtualnode", "context"), "virtualnode imports context"},
		{"pure has a client", own("virtualnode", "k8s.io/client-go/kubernetes"), "virtualnode imports k8s.io/client-go/kubernetes"},
		{"virtualnode uses the API types", own("virtualnode", "k8s.io/api/core/v1"), ""},
		{"podapi is an edge", own("virtualnode/podapi", "google.golang.org/grpc", "context"), ""},
		{"global logger", own("agent", "log"), "agent imports log"},
		{"old mesos-go", own("mesos/client", "github.com/mesos/mesos-go/api/v0/scheduler"), "mesos/client imports github.com/mesos/mesos-go/api/v0/scheduler"},
		{"Kubernetes in the master", own("master", "k8s.io/apimachinery/pkg/util/wait"), "master imports k8s.io/apimachinery"},
		{"Kubernetes in the agent, through others", through, "agent imports, through others, k8s.io/client-go/kubernetes"},
		{"CRI outside the pod executor", own("bridge", "k8s.io/cri-api/pkg/apis/runtime/v1"), "only the pod executor drives"},
		{"testing in a part", own("master/registry", "testing"), "master/registry imports testing"},
		{"testing in a suite", own("master/registry/registrytest", "testing"), ""},
		{"no comment", silent, "offers has no package comment"},
		{"vague name", vague, `master/helpers is called "helpers"`},
		{"cgo", withCgo, "agent/containers uses cgo"},
		{"other people's modules", Package{ImportPath: "example.com/util", Name: "util"}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, CheckImports([]Package{c.p}), c.want) })
	}
}

// TestSourceRulesBite does the same for the rules that read source.
func TestSourceRulesBite(t *testing.T) {
	long := "package x\n\nfunc f() {\n" + strings.Repeat("\t_ = 0\n", MaxFunctionLines) + "}\n"
	fits := "package x\n\nfunc f() {\n" + strings.Repeat("\t_ = 0\n", MaxFunctionLines-2) + "}\n"
	large := "package x\n" + strings.Repeat("\n", MaxFileLines)
	cases := []struct {
		name, file, src string
		pure            bool
		want            string
	}{
		{"long function", "x/a.go", long, false, "x/a.go:3 func f has 82 lines"},
		{"function that fits", "x/a.go", fits, false, ""},
		{"long test function", "x/a_test.go", long, false, ""},
		{"large file", "x/a.go", large, false, "x/a.go has 701 lines"},
		{"large test file", "x/a_test.go", large, false, "x/a_test.go has 701 lines"},
		{"large generated file", "x/a.go", "// Code generated by hand. DO NOT EDIT.\n\n" + large, false, ""},
		{"clock in a pure package", "x/a.go", "package x\n\nimport \"time\"\n\nvar t = time.Now\n", true, "x/a.go:5 uses time.Now"},
		{"clock under another name", "x/a.go", "package x\n\nimport clk \"time\"\n\nfunc f() { clk.Sleep(1) }\n", true, "x/a.go:5 uses time.Sleep"},
		{"durations are values", "x/a.go", "package x\n\nimport \"time\"\n\nvar d = 3 * time.Second\n", true, ""},
		{"dice in a pure package", "x/a.go", "package x\n\nimport \"math/rand/v2\"\n\nvar n = rand.IntN(6)\n", true, "x/a.go:5 uses math/rand/v2.IntN"},
		{"seeded dice", "x/a.go", "package x\n\nimport \"math/rand/v2\"\n\nvar r = rand.New(rand.NewPCG(1, 2))\n", true, ""},
		{"clock in a test", "x/a_test.go", "package x\n\nimport \"time\"\n\nvar t = time.Now\n", true, ""},
		{"clock at an edge", "x/a.go", "package x\n\nimport \"time\"\n\nvar t = time.Now\n", false, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			found, err := CheckFile(c.file, []byte(c.src), c.pure)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, found, c.want)
		})
	}
	if _, err := CheckFile("x/a.go", []byte("package"), false); err == nil {
		t.Error("a file that does not parse passed")
	}
}

func expect(t *testing.T, found []Violation, want string) {
	t.Helper()
	if want == "" {
		if len(found) != 0 {
			t.Fatalf("found %v, want nothing", found)
		}
		return
	}
	if len(found) != 1 || !strings.Contains(found[0].String(), want) {
		t.Fatalf("found %v, want one with %q", found, want)
	}
}
