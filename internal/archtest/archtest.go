// Package archtest holds the rules of the project's architecture and checks them as an ordinary test: which directory may
// import which, what a pure package may touch, that every package says what lives in it, and how long files and functions
// may get. A broken rule fails the test with one sentence that names the place, the rule and its reason.
//
// Start reading at rules.go; it is the part that changes.
package archtest

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Package is what the rules look at, as `go list -json` reports it.
type Package struct {
	ImportPath string
	Name       string
	Doc        string // first sentence of the package comment
	Dir        string
	Imports    []string // direct, without those of tests
	Deps       []string // transitive, without those of tests
	GoFiles    []string
	CgoFiles   []string

	TestGoFiles  []string
	XTestGoFiles []string

	Error *struct{ Err string }
}

// Violation is one broken rule.
type Violation struct {
	Where string // package, or file:line, relative to the module
	What  string // what is there
	Why   string // why it must not be
}

func (v Violation) String() string { return v.Where + " " + v.What + ": " + v.Why }

// CheckImports applies the import, purity, naming and comment rules to the packages of the module.
// Packages of other modules in the list are ignored. The answer is sorted.
func CheckImports(packages []Package) []Violation {
	var found []Violation
	for _, p := range packages {
		dir, own := relative(p.ImportPath)
		if !own {
			continue
		}
		found = append(found, checkIdentity(dir, p)...)
		area, ok := areaOf(dir)
		if !ok {
			found = append(found, Violation{dir, "stands in no area", "say in internal/archtest/rules.go what it may import"})
			continue
		}
		found = append(found, checkDirection(dir, area, p)...)
		if area.Pure {
			found = append(found, checkForbidden(dir, PureForbidden, p)...)
		}
		found = append(found, checkForbidden(dir, Banned, p)...)
	}
	sort.Slice(found, func(i, j int) bool { return found[i].String() < found[j].String() })
	return found
}

func checkIdentity(dir string, p Package) []Violation {
	var found []Violation
	if len(p.GoFiles)+len(p.CgoFiles) > 0 && strings.TrimSpace(p.Doc) == "" {
		found = append(found, Violation{dir, "has no package comment", "a reader must learn what lives here and where to start"})
	}
	if VagueNames[p.Name] {
		found = append(found, Violation{dir, fmt.Sprintf("is called %q", p.Name), "a package is named after what it holds"})
	}
	if len(p.CgoFiles) > 0 {
		found = append(found, Violation{dir, "uses cgo", "the binaries are static"})
	}
	return found
}

func checkDirection(dir string, area Area, p Package) []Violation {
	var found []Violation
	for _, imported := range p.Imports {
		target, own := relative(imported)
		// The area's own tree is free, and with it the deeper areas: master may use master/core, never the reverse.
		if !own || within(target, area.Dir) || allowed(target, area.May) {
			continue
		}
		found = append(found, Violation{dir, "imports " + target, area.Why})
	}
	return found
}

func checkForbidden(dir string, bans []Forbidden, p Package) []Violation {
	var found []Violation
	for _, ban := range bans {
		if len(ban.In) > 0 && !allowed(dir, ban.In) || allowed(dir, ban.Except) || ban.ExceptSuites && strings.HasSuffix(dir, "test") {
			continue
		}
		seen := p.Imports
		if ban.Transitive {
			seen = p.Deps
		}
		for _, imported := range seen {
			if !matches(imported, ban.Path) {
				continue
			}
			what := "imports " + imported
			if ban.Transitive && !slices.Contains(p.Imports, imported) {
				what = "imports, through others, " + imported
			}
			found = append(found, Violation{dir, what, ban.Why})
			if ban.Transitive {
				break // one sentence is enough, there may be hundreds
			}
		}
	}
	return found
}

// areaOf finds the area that holds a directory: the one with the longest Dir.
func areaOf(dir string) (Area, bool) {
	var best Area
	for _, a := range Areas {
		if within(dir, a.Dir) && len(a.Dir) > len(best.Dir) {
			best = a
		}
	}
	return best, best.Dir != ""
}

// relative cuts the module path off an import path; own is false for other modules.
func relative(importPath string) (dir string, own bool) {
	if importPath == Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, Module+"/")
}

func within(dir, root string) bool { return dir == root || strings.HasPrefix(dir, root+"/") }

func allowed(dir string, roots []string) bool {
	for _, root := range roots {
		if within(dir, root) {
			return true
		}
	}
	return false
}

func matches(importPath, pattern string) bool {
	if root, tree := strings.CutSuffix(pattern, "/..."); tree {
		return within(importPath, root)
	}
	return importPath == pattern
}
