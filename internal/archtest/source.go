package archtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Load asks the go command for the packages of the module rooted at dir, without building them.
func Load(dir string) ([]Package, error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Doc,Dir,Imports,Deps,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Error", "./...")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages of %s: %w: %s", dir, err, strings.TrimSpace(stderr.String()))
	}
	var packages []Package
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Package
		if err := dec.Decode(&p); err == io.EOF {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("list the packages of %s: %w", dir, err)
		}
		packages = append(packages, p)
	}
}

// CheckSource applies the rules that need the source: sizes, and clocks and dice in pure packages.
func CheckSource(packages []Package) ([]Violation, error) {
	var found []Violation
	for _, p := range packages {
		dir, own := relative(p.ImportPath)
		if !own {
			continue
		}
		area, _ := areaOf(dir)
		for _, group := range [][]string{p.GoFiles, p.CgoFiles, p.TestGoFiles, p.XTestGoFiles} {
			for _, name := range group {
				src, err := os.ReadFile(filepath.Join(p.Dir, name))
				if err != nil {
					return nil, fmt.Errorf("check %s: %w", dir, err)
				}
				v, err := CheckFile(filepath.Join(dir, name), src, area.Pure)
				if err != nil {
					return nil, err
				}
				found = append(found, v...)
			}
		}
	}
	return found, nil
}

// CheckFile checks one Go file; name is its path relative to the module. Generated files are free of the size rules.
func CheckFile(name string, src []byte, pure bool) ([]Violation, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	isTest := strings.HasSuffix(name, "_test.go")
	var found []Violation
	if !ast.IsGenerated(file) {
		if lines := bytes.Count(src, []byte("\n")); lines > MaxFileLines {
			found = append(found, Violation{name, fmt.Sprintf("has %d lines", lines), fmt.Sprintf("a file has at most %d", MaxFileLines)})
		}
		if !isTest {
			found = append(found, longFunctions(set, file)...)
		}
	}
	if pure && !isTest {
		found = append(found, ambient(set, file)...)
	}
	return found, nil
}

func longFunctions(set *token.FileSet, file *ast.File) []Violation {
	var found []Violation
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		start, end := set.Position(f.Pos()), set.Position(f.End())
		if lines := end.Line - start.Line + 1; lines > MaxFunctionLines {
			found = append(found, Violation{
				fmt.Sprintf("%s:%d", start.Filename, start.Line),
				fmt.Sprintf("func %s has %d lines", f.Name.Name, lines),
				fmt.Sprintf("a function has at most %d", MaxFunctionLines),
			})
		}
	}
	return found
}

// ambient finds uses of the machine's clock and dice, under whatever name the file gave their packages.
func ambient(set *token.FileSet, file *ast.File) []Violation {
	imported := map[string]string{} // local name -> import path
	for _, spec := range file.Imports {
		importPath := strings.Trim(spec.Path.Value, `"`)
		if _, watched := Ambient[importPath]; !watched {
			continue
		}
		switch {
		case spec.Name != nil:
			imported[spec.Name.Name] = importPath
		case importPath == "math/rand/v2":
			imported["rand"] = importPath
		default:
			imported[path.Base(importPath)] = importPath
		}
	}
	var found []Violation
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		calls := Ambient[imported[x.Name]]
		if slices.Contains(calls.Names, sel.Sel.Name) {
			at := set.Position(sel.Pos())
			found = append(found, Violation{
				fmt.Sprintf("%s:%d", at.Filename, at.Line), "uses " + imported[x.Name] + "." + sel.Sel.Name, calls.Why,
			})
		}
		return true
	})
	return found
}
