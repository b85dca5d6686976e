package main

import (
	"io"
	"strings"
	"testing"
)

func TestEveryCommandIsThereOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range root().Commands() {
		if seen[c.Name()] {
			t.Errorf("%s is there twice", c.Name())
		}
		seen[c.Name()] = true
	}
	if !seen["master"] || !seen["agent"] {
		t.Errorf("only %v", seen)
	}
}

// What is wrong with flags and arguments is said in plain words.
func TestCommandLineErrors(t *testing.T) {
	for line, says := range map[string]string{
		"up --agents=x":                    `--agents "x" is not a whole number`,
		"up --detach=maybe":                `--detach "maybe" is not true or false`,
		"up --bogus":                       "unknown flag: --bogus: tombolo up --help lists the flags",
		"up --dir=":                        "--dir is empty",
		"down --dir=":                      "--dir is empty",
		"batch run --cpus=many -- true":    `--cpus "many" is not a number`,
		"batch run --timeout=soon -- true": `--timeout "soon": `,
		"batch run --tasks=5":              "requires at least 1 arg(s), only received 0; it is used as: tombolo batch run [flags] -- COMMAND",
		"up again":                         `unknown command "again" for "tombolo up"; it is used as: tombolo up`,
		"master --agent_ping_timeout=soon": `--agent_ping_timeout "soon": `,
	} {
		cmd := root()
		cmd.SetArgs(strings.Fields(line))
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v", line, err)
		}
	}
}
