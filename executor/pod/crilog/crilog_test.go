package crilog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func write(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "0.log")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func line(second int, flag, text string) string {
	return fmt.Sprintf("2026-01-01T00:00:%02d.5Z stdout %s %s\n", second, flag, text)
}

func over() bool { return true }

func TestCopy(t *testing.T) {
	path := write(t, line(1, "F", "one"), line(2, "P", "tw"), line(3, "F", "o"), line(4, "F", ""), line(5, "F", "last words"))
	cases := []struct {
		name    string
		options Options
		want    string
	}{
		{"all", Options{Tail: -1}, "one\ntwo\n\nlast words\n"},
		{"timestamps", Options{Tail: 1, Timestamps: true}, "2026-01-01T00:00:05.5Z last words\n"},
		{"a line in pieces has one timestamp", Options{Tail: -1, Timestamps: true, Limit: 63}, "2026-01-01T00:00:01.5Z one\n2026-01-01T00:00:02.5Z two\n2026-01-0"},
		{"since", Options{Tail: -1, Since: time.Date(2026, 1, 1, 0, 0, 4, 0, time.UTC)}, "\nlast words\n"},
		{"no lines", Options{Tail: 0}, ""},
		{"more lines than there are", Options{Tail: 99}, "one\ntwo\n\nlast words\n"},
		{"limit", Options{Tail: -1, Limit: 5}, "one\nt"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			if err := Copy(t.Context(), path, c.options, &out, over); err != nil || out.String() != c.want {
				t.Errorf("%q, %v; want %q", out.String(), err, c.want)
			}
		})
	}
}

func TestBrokenLog(t *testing.T) {
	for _, text := range []string{"nonsense\n", "x y z w\n", strings.Repeat("x", maxLine+2)} {
		if err := Copy(t.Context(), write(t, text), Options{Tail: -1}, &strings.Builder{}, over); err == nil {
			t.Errorf("%.20q was taken for a log", text)
		}
	}
}

// The last n lines are what a plain reader finds at the end, for any lengths of lines around the block size.
func TestTailAgreesWithPlainReading(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		var all []string
		var file strings.Builder
		for i, n := range rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 100, 32 << 10, 32<<10 - 37, 20_000}), 0, 12).Draw(t, "lengths") {
			text := strings.Repeat("x", n)
			all = append(all, text+"\n")
			file.WriteString(line(i, "F", text))
		}
		path := filepath.Join(dir, "0.log")
		if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(0, 14).Draw(t, "tail")
		var out strings.Builder
		if err := Copy(t.Context(), path, Options{Tail: int64(n)}, &out, over); err != nil {
			t.Fatal(err)
		}
		if want := strings.Join(all[max(0, len(all)-n):], ""); out.String() != want {
			t.Fatalf("got %d bytes, want %d", out.Len(), len(want))
		}
	})
}
