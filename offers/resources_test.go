package offers

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"
)

// must reads resources that the test wrote itself.
func must(t interface{ Fatal(...any) }, text string) Resources {
	r, err := ParseText(text, "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func scalar(name string, amount float64) mesos.Resource {
	return mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: amount}}
}

func dynamic(roles ...string) []mesos.Resource_ReservationInfo {
	var stack []mesos.Resource_ReservationInfo
	for _, role := range roles {
		stack = append(stack, mesos.Resource_ReservationInfo{Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: &role})
	}
	return stack
}

// drawResource makes one resource of a small world, so that identities meet.
func drawResource(t *rapid.T) mesos.Resource {
	var r mesos.Resource
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0, 1, 2:
		r = scalar(rapid.SampledFrom([]string{"cpus", "mem", "disk", "gpus"}).Draw(t, "name"), float64(rapid.IntRange(0, 4000).Draw(t, "milli"))/1000)
	case 3, 4:
		r = mesos.Resource{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{}}
		for range rapid.IntRange(0, 3).Draw(t, "pieces") {
			begin := uint64(rapid.IntRange(0, 20).Draw(t, "begin"))
			r.Ranges.Range = append(r.Ranges.Range, mesos.Value_Range{Begin: begin, End: begin + uint64(rapid.IntRange(0, 5).Draw(t, "more"))})
		}
	default:
		r = mesos.Resource{Name: "licences", Type: mesos.SET.Enum(), Set: &mesos.Value_Set{
			Item: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3).Draw(t, "items")}}
	}
	switch rapid.IntRange(0, 6).Draw(t, "reservation") {
	case 0:
		role := rapid.SampledFrom([]string{"r", "q"}).Draw(t, "static")
		r.Role = &role
	case 1:
		r.Reservations = dynamic("r")
	case 2:
		r.Reservations = dynamic("r", "r/s")
	}
	if rapid.IntRange(0, 5).Draw(t, "revocable") == 0 {
		r.Revocable = &mesos.Resource_RevocableInfo{}
	}
	return r
}

func drawResources(t *rapid.T, label string) Resources {
	list := rapid.SliceOfN(rapid.Custom(drawResource), 0, 6).Draw(t, label)
	r, err := Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestALC09_ResourcesAlgebra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawResources(t, "a"), drawResources(t, "b"), drawResources(t, "c")
		if !a.Plus(b).Equal(b.Plus(a)) || !a.Plus(b).Plus(c).Equal(a.Plus(b.Plus(c))) {
			t.Fatalf("plus is not commutative and associative: %s, %s, %s", a, b, c)
		}
		sum := a.Plus(b)
		if !sum.Contains(a) || !sum.Contains(b) || !a.Contains(Resources{}) {
			t.Fatalf("%s does not contain %s and %s", sum, a, b)
		}
		difference, err := sum.Minus(b)
		if err != nil {
			t.Fatal(err)
		}
		// Ranges and sets are sets: what both have is gone.
		if want := a.without(b.filter(func(e *entry) bool { return e.scalar == 0 })); !difference.Equal(want) {
			t.Fatalf("(%s) + (%s) - (%s) = %s, not %s", a, b, b, difference, want)
		}
		if back := difference.Plus(b); !back.Equal(sum) {
			t.Fatalf("x - b + b = %s, not %s", back, sum)
		}
		if rest, err := a.Minus(b); (err == nil) != a.Contains(b) {
			t.Fatalf("minus says %v, contains %v", err, a.Contains(b))
		} else if err == nil && !rest.Plus(b).Equal(a) {
			t.Fatalf("a - b + b = %s, not %s", rest.Plus(b), a)
		}
		if a.Contains(b) && b.Contains(a) != a.Equal(b) {
			t.Fatalf("containment both ways is equality: %s, %s", a, b)
		}
		if a.Contains(b) && b.Contains(c) && !a.Contains(c) {
			t.Fatalf("containment is transitive: %s, %s, %s", a, b, c)
		}
		if got := a.Allocate("x").Unallocated(); !got.Equal(a) {
			t.Fatalf("allocate and back: %s, not %s", got, a)
		}
		if !a.Allocate("x").Plus(b.Allocate("y")).Unallocated().Equal(sum) {
			t.Fatalf("unallocated does not add up: %s, %s", a, b)
		}
		if a.Scalar("cpus")+b.Scalar("cpus") != sum.Scalar("cpus") {
			t.Fatal("scalars do not add up")
		}
	})
}

func TestOFF05_WireForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawResources(t, "r")
		if rapid.Bool().Draw(t, "allocated") {
			r = r.Allocate("x")
		}
		back, err := Parse(r.Mesos())
		if err != nil || !back.Equal(r) {
			t.Fatalf("new form: %s, %v, not %s", back, err, r)
		}
		flat := r.filter(func(e *entry) bool { return e.id.Value().depth < 2 })
		back, err = Parse(r.MesosOld())
		if err != nil || !back.Equal(flat) {
			t.Fatalf("old form: %s, %v, not %s", back, err, flat)
		}
		for _, m := range r.MesosOld() {
			if m.Role == nil || len(m.Reservations) > 0 {
				t.Fatalf("old form is not old: %v", m)
			}
		}
	})
}

func TestOFF05_OldFormats(t *testing.T) {
	role, principal, star := "r", "p", "*"
	static, reserved, both, starred := scalar("cpus", 1), scalar("cpus", 1), scalar("cpus", 1), scalar("cpus", 1)
	static.Role = &role
	reserved.Role, reserved.Reservation = &role, &mesos.Resource_ReservationInfo{Principal: &principal}
	both.Role, both.Reservations = &role, dynamic("r")
	starred.Role = &star
	r, err := Parse([]mesos.Resource{static, reserved, both, starred})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.entries) != 4 || r.Reserved()["r"].Scalar("cpus") != 3*Unit || r.Unreserved().Scalar("cpus") != Unit {
		t.Fatalf("got %d entries: %s", len(r.entries), r)
	}
	for _, m := range r.Mesos() {
		if m.Role != nil || m.Reservation != nil {
			t.Errorf("new form has old fields: %v", m)
		}
	}
}

func TestSEM02_BadResources(t *testing.T) {
	with := func(change func(*mesos.Resource)) mesos.Resource {
		r := scalar("cpus", 1)
		change(&r)
		return r
	}
	other := "q"
	for want, r := range map[string]mesos.Resource{
		"no name":               with(func(r *mesos.Resource) { r.Name = "" }),
		"no type":               with(func(r *mesos.Resource) { r.Type = nil }),
		"no scalar":             with(func(r *mesos.Resource) { r.Scalar = nil }),
		"TEXT":                  with(func(r *mesos.Resource) { r.Type = mesos.TEXT.Enum() }),
		"-1 is not":             with(func(r *mesos.Resource) { r.Scalar.Value = -1 }),
		"NaN":                   with(func(r *mesos.Resource) { r.Scalar.Value = math.NaN() }),
		"names no role":         with(func(r *mesos.Resource) { r.Reservation = &mesos.Resource_ReservationInfo{} }),
		"is not below":          with(func(r *mesos.Resource) { r.Reservations = dynamic("a", "ab") }),
		"can't be reserved":     with(func(r *mesos.Resource) { r.Reservations = dynamic("*") }),
		"empty part":            with(func(r *mesos.Resource) { r.Reservations = dynamic("a//b") }),
		"reservations end with": with(func(r *mesos.Resource) { r.Role, r.Reservations = &other, dynamic("a") }),
		"ends before it begins": {Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 2, End: 1}}}},
	} {
		if _, err := Parse([]mesos.Resource{r}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in the error, got %v", want, err)
		}
	}
}

func TestALC09_Amounts(t *testing.T) {
	for value, want := range map[float64]string{0: "0", 1: "1", 0.1: "0.1", 0.0005: "0.001", 0.0004: "0", 2.675: "2.675", 1024: "1024"} {
		a, err := AmountOf(value)
		if err != nil || a.String() != want {
			t.Errorf("%v: %s, %v; want %s", value, a, err, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a := Amount(rapid.Int64Range(0, 1e15).Draw(t, "a"))
		if back, err := AmountOf(a.Float()); err != nil || back != a {
			t.Fatalf("%d became %d: %v", a, back, err)
		}
	})
}

func TestRangesAgainstSets(t *testing.T) {
	draw := func(t *rapid.T, label string) (Ranges, map[uint64]bool) {
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Range {
			begin := rapid.Uint64Range(0, 30).Draw(t, "begin")
			return Range{begin, begin + rapid.Uint64Range(0, 6).Draw(t, "more")}
		}), 0, 6).Draw(t, label)
		set := map[uint64]bool{}
		for _, r := range list {
			for i := r.Begin; i <= r.End; i++ {
				set[i] = true
			}
		}
		return rangesOf(list), set
	}
	numbers := func(r Ranges) map[uint64]bool {
		set := map[uint64]bool{}
		for _, p := range r {
			for i := p.Begin; i <= p.End; i++ {
				set[i] = true
			}
		}
		return set
	}
	rapid.Check(t, func(t *rapid.T) {
		a, setA := draw(t, "a")
		b, setB := draw(t, "b")
		both, rest, within := map[uint64]bool{}, map[uint64]bool{}, true
		for i := range setA {
			both[i] = true
			if !setB[i] {
				rest[i] = true
			}
		}
		for i := range setB {
			both[i] = true
			within = within && setA[i]
		}
		if !reflect.DeepEqual(numbers(a.Plus(b)), both) || !reflect.DeepEqual(numbers(a.Minus(b)), rest) || a.Contains(b) != within {
			t.Fatalf("a %s, b %s: plus %s, minus %s, contains %v", a, b, a.Plus(b), a.Minus(b), a.Contains(b))
		}
		if a.Count() != uint64(len(setA)) {
			t.Fatalf("count of %s is %d, not %d", a, a.Count(), len(setA))
		}
		for _, r := range []Ranges{a.Plus(b), a.Minus(b)} {
			for i := 1; i < len(r); i++ {
				if r[i].Begin <= r[i-1].End+1 {
					t.Fatalf("%s is not canonical", r)
				}
			}
		}
	})
	whole := rangesOf([]Range{{5, math.MaxUint64}, {0, 9}})
	if len(whole) != 1 || whole.Count() != math.MaxUint64 || len(whole.Minus(whole)) != 0 {
		t.Errorf("the whole range is %s", whole)
	}
}

func TestParseText(t *testing.T) {
	r := must(t, " cpus:4 ; mem:1024.5;ports:[31000-32000, 1-2];cpus(role/sub):1.5;licences:{b, a}; ")
	want := "cpus:4; cpus(role/sub):1.5; licences:{a, b}; mem:1024.5; ports:[1-2, 31000-32000]"
	if r.String() != want {
		t.Errorf("got  %s\nwant %s", r, want)
	}
	defaulted, err := ParseText("cpus:1;mem(b):2", "a")
	if err != nil || defaulted.String() != "cpus(a):1; mem(b):2" {
		t.Errorf("default role: %s, %v", defaulted, err)
	}
	fromJSON, err := ParseText(`[{"name":"cpus","type":"SCALAR","scalar":{"value":2}},
		{"name":"disk","type":"SCALAR","scalar":{"value":10},"disk":{"source":{"type":"MOUNT","mount":{"root":"/d"}}}},
		{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":3}]},"role":"r"}]`, "*")
	if err != nil || fromJSON.String() != "cpus:2; disk{DISK}:10; ports(r):[1-3]" {
		t.Errorf("JSON: %s, %v", fromJSON, err)
	}
	for _, bad := range []string{"cpus", "cpus:", "cpus:a", "cpus:1:2", "cpus():1", "cpus(r:1", ":1", "ports:[1-2", "ports:[2-1]",
		"ports:[a-b]", "licences:{a", "cpus:-1", "cpus:inf", "cpus:1e300", "cpus(-r):1", "[{", `[{"name":"cpus"}]`, "cpus:0x10"} {
		if r, err := ParseText(bad, ""); err == nil {
			t.Errorf("%q was read as %s", bad, r)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error has several lines: %v", bad, err)
		}
	}
}

func TestParseAttributes(t *testing.T) {
	list, err := ParseAttributes("rack:abc; zone:west;level:10;keys:[1000-1500,1-2];url:http://x:80/;rack:def;neg:-1.5")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(AttributesSummary(list))
	if err != nil || string(text) != `{"keys":"[1-2, 1000-1500]","level":10,"neg":-1.5,"rack":"def","url":"http://x:80/","zone":"west"}` {
		t.Errorf("got %s, %v", text, err)
	}
	if len(list) != 7 || list[0].Name != "rack" || list[0].GetText().GetValue() != "abc" {
		t.Errorf("got %v", list)
	}
	for _, bad := range []string{"rack", "rack:", ":x", "s:{a,b}", "keys:[2-1]", "n:1e999"} {
		if _, err := ParseAttributes(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestSummary(t *testing.T) {
	revocable := scalar("cpus", 2)
	revocable.Revocable = &mesos.Resource_RevocableInfo{}
	extra, err := Parse([]mesos.Resource{revocable, scalar("network", 0.5)})
	if err != nil {
		t.Fatal(err)
	}
	r := must(t, "cpus:1;cpus(r):1;mem:64;ports:[1-2];ports(r):[3-4];l:{b};l(r):{a}").Plus(extra)
	text, err := json.Marshal(r.Summary())
	want := `{"cpus":2,"cpus_revocable":2,"disk":0,"gpus":0,"l":"{a, b}","mem":64,"network":0.5,"ports":"[1-4]"}`
	if err != nil || string(text) != want {
		t.Errorf("got  %s, %v\nwant %s", text, err, want)
	}
}

func TestValidateRole(t *testing.T) {
	for _, good := range []string{"*", "a", "a/b/c", "a.b", "..a", "a-b"} {
		if err := ValidateRole(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "/", "a/", "/a", "a//b", ".", "a/..", "-a", "a/-b", "a b", "a\tb", "a/*", "*/a"} {
		if ValidateRole(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzParseText(f *testing.F) {
	for _, seed := range []string{"cpus:4;mem:1024;ports:[31000-32000];cpus(role):1", "l:{a,b}", `[{"name":"cpus","type":"SCALAR","scalar":{"value":1}}]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseText(text, "")
		if err != nil {
			return
		}
		if back, err := Parse(r.Mesos()); err != nil || !back.Equal(r) {
			t.Fatalf("%q: %s became %s: %v", text, r, back, err)
		}
		if !r.without(r).IsZero() || !r.Contains(r) {
			t.Fatalf("%q: %s minus itself is not nothing", text, r)
		}
		_ = r.Summary()
		simple := !strings.HasPrefix(strings.TrimSpace(text), "[") && !slices.ContainsFunc(r.entries, func(e entry) bool {
			return slices.ContainsFunc(e.set, func(s string) bool { return strings.ContainsAny(s, ":;,{}()[]") })
		})
		if simple && !r.IsZero() {
			if back, err := ParseText(r.String(), ""); err != nil || !back.Equal(r) {
				t.Fatalf("%q: shown as %s, read as %s: %v", text, r, back, err)
			}
		}
	})
}

func FuzzParseAttributes(f *testing.F) {
	f.Add("rack:abc;zone:west;level:10;ports:[1-2]")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseAttributes(text)
		if err != nil {
			return
		}
		for _, a := range list {
			if a.Name == "" {
				t.Fatalf("%q has an attribute without name", text)
			}
			if _, err := a.Marshal(); err != nil {
				t.Fatal(err)
			}
		}
		_ = AttributesSummary(list)
	})
}
