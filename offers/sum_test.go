package offers

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestSumIsPlusOfAll(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var list []Resources
		var want Resources
		for range rapid.IntRange(0, 6).Draw(r, "bundles") {
			x := drawResources(r, "bundle")
			list = append(list, x)
			want = want.Plus(x)
		}
		if got := Sum(list); !got.Equal(want) {
			r.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestAppendSummaryIsSummary(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		x := drawResources(r, "bundle")
		var got map[string]any
		if err := json.Unmarshal(x.AppendSummary(nil), &got); err != nil {
			r.Fatal(err)
		}
		want := x.Summary()
		if len(got) != len(want) {
			r.Fatalf("got %v, want %v", got, want)
		}
		for key, value := range want {
			if got[key] != value {
				r.Fatalf("%s: got %v, want %v", key, got[key], value)
			}
		}
	})
}
