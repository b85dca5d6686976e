package constraints

import (
	"strings"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/codec"
)

func parse(t *testing.T, text string) *OfferConstraints {
	t.Helper()
	var c Carrier
	if err := codec.JSON.Unmarshal([]byte(`{"subscribe":{"offer_constraints":`+text+`}}`), &c); err != nil {
		t.Fatal(err)
	}
	return c.Get()
}

// one is the constraints of role r with a single one.
func one(selector, predicate string) string {
	return `{"role_constraints":{"r":{"groups":[{"attribute_constraints":[{"selector":` + selector + `,"predicate":` + predicate + `}]}]}}}`
}

func testAgent() *mesos.AgentInfo {
	return &mesos.AgentInfo{
		Hostname: "host-1",
		Attributes: []mesos.Attribute{
			{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: "r1"}},
			{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: "r2"}},
			{Name: "speed", Type: mesos.SCALAR, Scalar: &mesos.Value_Scalar{Value: 3}},
		},
		Domain: &mesos.DomainInfo{FaultDomain: &mesos.DomainInfo_FaultDomain{
			Region: mesos.DomainInfo_FaultDomain_RegionInfo{Name: "eu"}, Zone: mesos.DomainInfo_FaultDomain_ZoneInfo{Name: "eu-1"},
		}},
	}
}

// OFF-13: each predicate on a text, on an attribute that is no text, and on nothing.
func TestPredicates(t *testing.T) {
	rack, speed, none := `{"attribute_name":"rack"}`, `{"attribute_name":"speed"}`, `{"attribute_name":"none"}`
	for _, c := range []struct {
		selector, predicate string
		want                bool
	}{
		{rack, `{"exists":{}}`, true}, {speed, `{"exists":{}}`, true}, {none, `{"exists":{}}`, false},
		{rack, `{"not_exists":{}}`, false}, {speed, `{"not_exists":{}}`, false}, {none, `{"not_exists":{}}`, true},
		{rack, `{"text_equals":{"value":"r1"}}`, true}, {rack, `{"text_equals":{"value":"r2"}}`, false},
		{speed, `{"text_equals":{"value":"x"}}`, true}, {none, `{"text_equals":{"value":""}}`, false},
		{rack, `{"text_not_equals":{"value":"r1"}}`, false}, {rack, `{"text_not_equals":{"value":"r2"}}`, true},
		{speed, `{"text_not_equals":{"value":"3"}}`, true}, {none, `{"text_not_equals":{"value":"x"}}`, true},
		{rack, `{"text_matches":{"regex":"r[0-9]"}}`, true}, {rack, `{"text_matches":{"regex":"r"}}`, false},
		{rack, `{"text_matches":{"regex":"x|r1"}}`, true}, {speed, `{"text_matches":{"regex":"q"}}`, true}, {none, `{"text_matches":{"regex":".*"}}`, false},
		{rack, `{"text_not_matches":{"regex":"r[0-9]"}}`, false}, {rack, `{"text_not_matches":{"regex":"r"}}`, true},
		{speed, `{"text_not_matches":{"regex":".*"}}`, true}, {none, `{"text_not_matches":{"regex":".*"}}`, true},
		{`{"pseudoattribute_type":"HOSTNAME"}`, `{"text_matches":{"regex":"host-.*"}}`, true},
		{`{"pseudoattribute_type":"REGION"}`, `{"text_equals":{"value":"eu"}}`, true},
		{`{"pseudoattribute_type":"ZONE"}`, `{"text_not_equals":{"value":"eu-1"}}`, false},
	} {
		filters, err := Compile(parse(t, one(c.selector, c.predicate)), DefaultLimits)
		if err != nil {
			t.Errorf("%s %s: %v", c.selector, c.predicate, err)
			continue
		}
		if got := filters["r"](testAgent()); got != c.want {
			t.Errorf("%s %s: got %v, want %v", c.selector, c.predicate, got, c.want)
		}
	}
	filters, err := Compile(parse(t, one(`{"pseudoattribute_type":"ZONE"}`, `{"exists":{}}`)), DefaultLimits)
	if err != nil || filters["r"](&mesos.AgentInfo{Hostname: "x"}) {
		t.Errorf("an agent without domain has no zone: %v", err)
	}
}

// OFF-13: groups are alternatives, the constraints of a group hold together.
func TestGroups(t *testing.T) {
	is := func(name, value string) string {
		return `{"selector":{"attribute_name":"` + name + `"},"predicate":{"text_equals":{"value":"` + value + `"}}}`
	}
	host := `{"selector":{"pseudoattribute_type":"HOSTNAME"},"predicate":{"text_equals":{"value":"host-1"}}}`
	for _, c := range []struct {
		groups []string
		want   bool
	}{
		{[]string{is("rack", "r1") + "," + host}, true},
		{[]string{is("rack", "r9") + "," + host}, false},
		{[]string{is("rack", "r9"), host}, true},
		{[]string{is("rack", "r9"), is("rack", "r8")}, false},
	} {
		text := `{"role_constraints":{"r":{"groups":[{"attribute_constraints":[` + strings.Join(c.groups, `]},{"attribute_constraints":[`) + `]}]}}}`
		filters, err := Compile(parse(t, text), DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		if got := filters["r"](testAgent()); got != c.want {
			t.Errorf("%v: got %v, want %v", c.groups, got, c.want)
		}
	}
}

// SUB-06: what is refused.
func TestRefused(t *testing.T) {
	long := `{"text_matches":{"regex":"` + strings.Repeat("a", 200) + `"}}`
	rack := `{"attribute_name":"rack"}`
	for text, want := range map[string]string{
		`{"role_constraints":{"r":{}}}`:                            "empty 'RoleConstraints::groups'",
		`{"role_constraints":{"r":{"groups":[{}]}}}`:               "empty RoleConstraints::Group",
		one(`{}`, `{"exists":{}}`):                                 "Exactly one of",
		one(`{"pseudoattribute_type":"UNKNOWN"}`, `{"exists":{}}`): "Unknown pseudoattribute",
		one(rack, `{}`): "Unknown predicate",
		one(rack, `{"text_matches":{"regex":"("}}`):                 "missing closing )",
		one(rack, `{"text_matches":{"regex":")("}}`):                "unexpected )",
		one(rack, `{"text_not_matches":{"regex":".{1000}{1000}"}}`): "repet",
		one(rack, `{"text_matches":{"regex":"(?<=a)b"}}`):           "Failed to construct",
		one(rack, long): "too large",
		one(rack, `{"text_matches":{"regex":"`+strings.Repeat("x", 5000)+`"}}`):        "too large",
		one(rack, `{"text_matches":{"regex":".*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*"}}`): "too large",
	} {
		if _, err := Compile(parse(t, text), DefaultLimits); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: got %v, want an error with %q", text, err, want)
		}
	}
	if _, err := Compile(parse(t, one(rack, long)), Limits{MaxMem: 1 << 20, MaxProgramSize: 100}); err == nil || !strings.Contains(err.Error(), "too complex") {
		t.Errorf("with more memory the size of the program is what is refused, got %v", err)
	}
	var c Carrier
	if err := codec.JSON.Unmarshal([]byte(`{"subscribe":{"offer_constraints":`+one(rack, `null`)+`}}`), &c); err == nil {
		t.Error("a constraint without predicate does not parse")
	}
}

// Both codecs carry constraints, in SUBSCRIBE and in UPDATE_FRAMEWORK.
func TestCarrier(t *testing.T) {
	want := parse(t, one(`{"pseudoattribute_type":"REGION"}`, `{"text_not_matches":{"regex":"a.c"}}`))
	for _, c := range []codec.Codec{codec.JSON, codec.Protobuf} {
		for _, m := range []*Carrier{{Subscribe: &CarrierPart{want}}, {UpdateFramework: &CarrierPart{want}}} {
			data, err := c.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			var got Carrier
			if err := c.Unmarshal(data, &got); err != nil {
				t.Fatal(err)
			}
			if got.Get().String() != want.String() {
				t.Errorf("%s: got %v", c.MediaType(), got.Get())
			}
		}
	}
	if (&Carrier{}).Get() != nil {
		t.Error("a call without constraints has none")
	}
}
