package credentials

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBothForms(t *testing.T) {
	for name, content := range map[string]string{
		"json":  `{"credentials": [{"principal": "a", "secret": "x y"}, {"principal": "b", "secret": "z"}, {"principal": "b", "secret": "second"}], "comment": 1}`,
		"plain": "\n  a x\tb\n",
		"lines": "a xy\n\nb z\r\n",
	} {
		list, err := Parse([]byte(content))
		if name == "plain" {
			if err == nil {
				t.Error("three words on a line were taken")
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		s := NewStore(list...)
		if !s.Verify("b", NewSecret("z")) || s.Verify("b", NewSecret("second")) || s.Verify("b", NewSecret("")) || s.Verify("c", NewSecret("")) || s.Verify("c", NewSecret("z")) {
			t.Errorf("%s: verified wrongly", name)
		}
		if secret, ok := s.Secret("a"); !ok || !strings.HasPrefix(string(secret.Reveal()), "x") {
			t.Errorf("%s: a has no secret", name)
		}
	}
	for content, want := range map[string]string{
		"": "at least one", "\n\n": "at least one", `{}`: "at least one", `{"credentials": "x"}`: "form", `{"credentials": [{}]}`: "principal", "one\n": "line 1",
		`{"credentials": [{"principal": "a"}]}`: "secret", `{"credentials": [{"principal": "", "secret": "s"}]}`: "principal", `{"principal":`: "form",
	} {
		if _, err := Parse([]byte(content)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", content, err)
		}
	}
	for content, ok := range map[string]bool{
		`{"principal": "a", "secret": "s"}`: true, "a s\n": true, "a s\nb s\n": false, `{"principal": "a"}`: false, "": false, `{"secret": 5}`: false,
	} {
		if c, err := ParseOne([]byte(content)); (err == nil) != ok || ok && (c.Principal != "a" || string(c.Secret.Reveal()) != "s") {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	c := Credential{Principal: "p", Secret: NewSecret("hunter2")}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "secret", c.Secret, "credential", c, "pointer", &c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "secret", c.Secret, "credential", c, "pointer", &c)
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{log.String(), string(encoded), fmt.Sprint(c, c.Secret, &c, []Credential{c}, NewStore(c))}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		texts = append(texts, fmt.Sprintf(verb+" "+verb+" "+verb, c.Secret, c, map[string]Credential{"x": c}))
	}
	for _, text := range texts {
		for _, shape := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2"), "104 117", "aHVudGVyMg"} {
			if strings.Contains(text, shape) {
				t.Errorf("shown as %s in %s", shape, text)
			}
		}
	}
}

func TestFiles(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	path := filepath.Join(t.TempDir(), "c")
	if err := os.WriteFile(path, []byte("a hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, "file://" + path} {
		s, err := Load(name, logger)
		if err != nil || !s.Verify("a", NewSecret("hunter2")) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if c, err := LoadOne(path, logger); err != nil || c.Principal != "a" {
		t.Error(err)
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log.String())
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, logger); err != nil || !strings.Contains(log.String(), "others") || strings.Contains(log.String(), "hunter2") {
		t.Errorf("%v, logged: %s", err, log.String())
	}
	if err := os.WriteFile(path, []byte("hunter2 hunter2 hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, logger); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows the content: %v", err)
	}
	if _, err := Load(path+"x", logger); err == nil {
		t.Error("a missing file was read")
	}
	if s, err := LoadSecret(path, logger); err != nil || string(s.Reveal()) != "hunter2 hunter2 hunter2" {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadSecret(path, logger); err == nil {
		t.Error("an empty secret")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"credentials": [{"principal": "a", "secret": "x"}]}`))
	f.Add([]byte("a b\nc d\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		list, err := Parse(content)
		if err != nil {
			if len(list) > 0 {
				t.Fatal("an error and a list")
			}
		} else if len(list) == 0 {
			t.Fatal("neither")
		}
		for _, c := range list {
			if c.Principal == "" || c.Secret.Empty() {
				t.Fatalf("%q has an empty part", c.Principal)
			}
		}
		if c, err := ParseOne(content); err == nil && (c.Principal == "" || c.Secret.Empty()) {
			t.Fatal("an empty part")
		}
	})
}
