package duration

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestFormatAsMesos(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"5secs": 5 * time.Second, "15mins": 15 * time.Minute, "90secs": 90 * time.Second, "1weeks": 7 * 24 * time.Hour,
		"10days": 240 * time.Hour, "100ms": 100 * time.Millisecond, "0ns": 0, "1500us": 1500 * time.Microsecond,
	} {
		if got := Format(d); got != want {
			t.Errorf("Format(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestParseReadsWhatFormatWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "d"))
		if got, err := Parse(Format(d)); err != nil || got != d {
			t.Fatalf("Parse(%q) = %v, %v; want %v", Format(d), got, err, d)
		}
	})
}

func TestParseOtherForms(t *testing.T) {
	for text, want := range map[string]time.Duration{"1.5mins": 90 * time.Second, "1m30s": 90 * time.Second, "2hrs": 2 * time.Hour} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "x", "-5secs", "secs", "NaNsecs", "1e400weeks"} {
		if d, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", text, d)
		}
	}
}
