package master

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestALT06_ReadWhitelist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	if _, err := readWhitelist(path); err == nil {
		t.Error("a file that is missing was read")
	}
	for text, want := range map[string][]string{"": {}, "a\n\n b \n": {"a", "b"}} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readWhitelist("file://" + path)
		if err != nil || got == nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

func TestAllocatorFlags(t *testing.T) {
	good := Default().Allocator
	if err := good.valid(); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Allocator){
		"sorter":  func(a *Allocator) { a.RoleSorter = "fifo" },
		"sorter2": func(a *Allocator) { a.FrameworkSorter = "" },
		"domain":  func(a *Allocator) { a.Domain = `{"fault_domain": {"region": {"name": "r"}}}` },
		"json":    func(a *Allocator) { a.Domain = "{" },
		"file":    func(a *Allocator) { a.Domain = "/none" },
	} {
		a := good
		if change(&a); a.valid() == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	good.Domain = `{"fault_domain": {"region": {"name": "r"}, "zone": {"name": "z"}}}`
	if d, err := good.domain(); err != nil || d.FaultDomain.Region.Name != "r" {
		t.Errorf("got %v, %v", d, err)
	}
}
