package epoch

import "testing"

func TestParse(t *testing.T) {
	for _, e := range []Epoch{{}, {Registry: "r", Number: 1}, {Registry: "a-b", Number: 1 << 60}} {
		if got, err := Parse(e.String()); err != nil || got != e {
			t.Errorf("%q is read as %v, %v", e, got, err)
		}
	}
	for _, text := range []string{"7", "r/", "/7", "r/0", "r/-1", "r/x", "r/7/8"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q is taken for an epoch", text)
		}
	}
}

func TestBefore(t *testing.T) {
	older, newer, other := Epoch{"r", 1}, Epoch{"r", 2}, Epoch{"s", 3}
	if !older.Before(newer) || newer.Before(older) || newer.Before(newer) || newer.Before(other) || (Epoch{}).Before(newer) {
		t.Error("wrong order")
	}
}
