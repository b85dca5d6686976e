// Command mutants plants bugs in the cores, one at a time, and sees whether the tests
// catch each: a suite that has never caught a planted bug shows nothing.
//
// A bug is a replacement of text in one file. It is built with `go test -overlay`, so
// that the tree itself is never changed. Caught means: the simulation's first seeds
// fail, or the unit tests of the bug's package, or both. The exit status is 1 when a
// bug survives or its text is not found exactly once any more.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// limit ends a test that a planted bug keeps from ending.
const limit = 5 * time.Minute

// outcome is what the tests said of one bug.
type outcome struct {
	bug       bug
	sim, unit string // what caught it; "" for nothing
}

func main() {
	write := flag.String("write", "", "write the table to this file, if all bugs were planted")
	only := flag.String("only", "", "plant only bugs whose name contains this")
	skip := flag.Int("skip", 0, "leave out so many of the first bugs")
	seeds := flag.Int("seeds", 300, "seeds of the simulation for each bug")
	flag.Parse()
	outcomes, err := run(*only, *skip, *seeds)
	if err == nil && *write != "" && *only == "" && *skip == 0 {
		err = os.WriteFile(*write, []byte(table(outcomes, *seeds)), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
	if slices.ContainsFunc(outcomes, func(o outcome) bool { return o.sim == "" && o.unit == "" }) {
		os.Exit(1)
	}
}

func run(only string, skip, seeds int) ([]outcome, error) {
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var all []outcome
	for _, b := range bugs { // all texts are there before the first is tried
		if _, err := plant(dir, b); err != nil {
			return nil, fmt.Errorf("bug %q: %w", b.name, err)
		}
	}
	for i, b := range bugs {
		if i < skip || !strings.Contains(b.name, only) {
			continue
		}
		overlay, err := plant(dir, b)
		if err != nil {
			return all, fmt.Errorf("bug %q: %w", b.name, err)
		}
		o := outcome{bug: b}
		if o.sim, err = simulate(overlay, seeds); err == nil {
			o.unit, err = unit(overlay, b)
		}
		all = append(all, o)
		if err != nil { // the others are tried nevertheless
			fmt.Printf("BROKEN   %s: %v\n", b.name, err)
			continue
		}
		verdict := "caught"
		if o.sim == "" && o.unit == "" {
			verdict = "SURVIVED"
		}
		fmt.Printf("%-8s %-55s sim: %-28s unit: %s\n", verdict, b.name, orNothing(o.sim), orNothing(o.unit))
	}
	return all, nil
}

// plant writes the changed file and the overlay that puts it in place of the real one.
func plant(dir string, b bug) (string, error) {
	real, err := filepath.Abs(b.file)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(real)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), b.old); n != 1 {
		return "", fmt.Errorf("its text is %d times in %s; it must be there once", n, b.file)
	}
	changed := filepath.Join(dir, filepath.Base(b.file))
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), b.old, b.new, 1)), 0o600); err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	data, err := json.Marshal(map[string]map[string]string{"Replace": {real: changed}})
	if err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, data, 0o600)
}

var (
	violation = regexp.MustCompile(`seed (\d+): (\w+): `)
	failure   = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
)

// simulate runs the simulation with a bug and says which invariant, in which seed, caught it.
func simulate(overlay string, seeds int) (string, error) {
	out, failed, err := test(overlay, "./internal/sim", "-run=TestSim$|TestDeterminism$", fmt.Sprintf("-seeds=%d", seeds), "-lines=0")
	if err != nil || !failed {
		return "", err
	}
	if m := violation.FindStringSubmatch(out); m != nil {
		return fmt.Sprintf("%s (seed %s)", m[2], m[1]), nil
	}
	return caughtBy(out)
}

// unit runs the tests of the bug's package and says which caught it.
func unit(overlay string, b bug) (string, error) {
	out, failed, err := test(overlay, "./"+filepath.Dir(b.file))
	if err != nil || !failed {
		return "", err
	}
	return caughtBy(out)
}

func caughtBy(out string) (string, error) {
	names := failure.FindAllStringSubmatch(out, -1)
	switch {
	case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
		return "", fmt.Errorf("it does not compile:\n%s", out)
	case len(names) == 0 && strings.Contains(out, "panic: "):
		return "panic", nil
	case len(names) == 0:
		return "", fmt.Errorf("a failure without a reason:\n%s", out)
	case len(names) > 1:
		return fmt.Sprintf("%s and %d more", names[0][1], len(names)-1), nil
	default:
		return names[0][1], nil
	}
}

// test runs go test and tells a failing test from one that could not be run.
func test(overlay, pkg string, args ...string) (out string, failed bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	all := append([]string{"test", "-trimpath", "-vet=off", "-count=1", "-overlay", overlay, pkg}, args...)
	data, err := exec.CommandContext(ctx, "go", all...).CombinedOutput()
	if ctx.Err() != nil {
		return "panic: it does not end", true, nil
	}
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return string(data), true, nil
	}
	return string(data), false, err
}

func orNothing(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// table is docs/planted-bugs.md.
func table(outcomes []outcome, seeds int) string {
	var b strings.Builder
	caught := 0
	for _, o := range outcomes {
		if o.sim != "" || o.unit != "" {
			caught++
		}
	}
	fmt.Fprintf(&b, `# Planted bugs

Written by `+"`make mutants`"+`, which plants each of these bugs by itself and runs the first %d seeds of the simulation
(`+"`internal/sim`"+`) and the unit tests of the package. %d bugs, %d caught.

| bug | file | what would come of it | caught by the simulation | caught by unit tests |
|---|---|---|---|---|
`, seeds, len(outcomes), caught)
	for _, o := range outcomes {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", o.bug.name, o.bug.file, o.bug.harm, orNothing(o.sim), orNothing(o.unit))
	}
	return b.String()
}
