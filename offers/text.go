package offers

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// maxText bounds the flags read here, in bytes.
const maxText = 1 << 20

// ParseText reads the --resources flag (reference section 4.9): "cpus:4;mem:1024;ports:[31000-32000];cpus(role):1", or a
// JSON list of Resource. Resources that name no role get defaultRole (--default_role; "*" or empty: unreserved).
func ParseText(text, defaultRole string) (Resources, error) {
	if len(text) > maxText {
		return Resources{}, fmt.Errorf("resources: the text is longer than %d bytes", maxText)
	}
	list, err := resourceList(text)
	if err != nil {
		return Resources{}, fmt.Errorf("resources: %w", err)
	}
	for i := range list {
		if list[i].Role == nil && len(list[i].Reservations) == 0 && defaultRole != "" {
			list[i].Role = &defaultRole
		}
	}
	r, err := Parse(list)
	if err != nil {
		return Resources{}, fmt.Errorf("resources: %w", err)
	}
	return r, nil
}

func resourceList(text string) ([]mesos.Resource, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "[") {
		var list []mesos.Resource
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			return nil, fmt.Errorf("the JSON list can't be read: %w", err)
		}
		return list, nil
	}
	var list []mesos.Resource
	for item := range strings.SplitSeq(text, ";") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		r, err := resourceItem(item)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// resourceItem reads "name:value" or "name(role):value".
func resourceItem(item string) (mesos.Resource, error) {
	name, value, found := strings.Cut(item, ":")
	if !found || strings.Contains(value, ":") {
		return mesos.Resource{}, fmt.Errorf("%q is not of the form name:value or name(role):value", item)
	}
	var r mesos.Resource
	r.Name = strings.TrimSpace(name)
	if before, rest, found := strings.Cut(r.Name, "("); found {
		role, ok := strings.CutSuffix(rest, ")")
		if role = strings.TrimSpace(role); !ok || role == "" {
			return mesos.Resource{}, fmt.Errorf("%q is not of the form name(role):value", item)
		}
		r.Name, r.Role = strings.TrimSpace(before), &role
	}
	if r.Name == "" || strings.ContainsAny(r.Name, "()[]{}, \t\n") {
		return mesos.Resource{}, fmt.Errorf("%q has no proper name", item)
	}
	v, err := parseValue(value)
	if err != nil {
		return mesos.Resource{}, fmt.Errorf("%q: %w", item, err)
	}
	if v.kind == mesos.TEXT {
		return mesos.Resource{}, fmt.Errorf("%q: %q is neither a number, nor ranges like [1-10,20-30], nor a set like {a,b}", item, v.text)
	}
	r.Type, r.Scalar, r.Ranges, r.Set = &v.kind, v.scalar, v.ranges, v.set
	return r, nil
}

// ParseAttributes reads the --attributes flag: "rack:abc;zone:west;level:10;ports:[1-2]". The type follows from the form;
// sets are no attributes. The same name may appear several times.
func ParseAttributes(text string) ([]mesos.Attribute, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("attributes: the text is longer than %d bytes", maxText)
	}
	var list []mesos.Attribute
	for item := range strings.SplitSeq(text, ";") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, value, found := strings.Cut(item, ":")
		if name, value = strings.TrimSpace(name), strings.TrimSpace(value); !found || name == "" || value == "" {
			return nil, fmt.Errorf("attributes: %q is not of the form name:value", item)
		}
		v, err := parseValue(value)
		if err != nil {
			return nil, fmt.Errorf("attributes: %q: %w", item, err)
		}
		a := mesos.Attribute{Name: name, Type: v.kind, Scalar: v.scalar, Ranges: v.ranges}
		switch v.kind {
		case mesos.SET:
			return nil, fmt.Errorf("attributes: %q: a set can't be an attribute", item)
		case mesos.TEXT:
			a.Text = &mesos.Value_Text{Value: v.text}
		}
		list = append(list, a)
	}
	return list, nil
}

// AttributesSummary is how /state shows attributes: scalars as numbers, text as text, ranges as "[1-2]"; of several with
// one name the last is shown.
func AttributesSummary(list []mesos.Attribute) map[string]any {
	out := make(map[string]any, len(list))
	for _, a := range list {
		switch a.Type {
		case mesos.SCALAR:
			out[a.Name] = a.GetScalar().GetValue()
		case mesos.RANGES:
			var pieces []Range
			for _, p := range a.GetRanges().GetRange() {
				pieces = append(pieces, Range{p.Begin, p.End})
			}
			out[a.Name] = rangesOf(pieces).String()
		case mesos.TEXT:
			out[a.Name] = a.GetText().GetValue()
		}
	}
	return out
}

// value is what the text of a resource or attribute may be.
type value struct {
	kind   mesos.Value_Type
	scalar *mesos.Value_Scalar
	ranges *mesos.Value_Ranges
	set    *mesos.Value_Set
	text   string
}

var decimal = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

func parseValue(text string) (value, error) {
	text = strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(text, "["):
		inner, ok := strings.CutSuffix(text[1:], "]")
		if !ok {
			return value{}, fmt.Errorf("the ranges %q have no closing bracket", text)
		}
		pieces, err := parseRanges(inner)
		return value{kind: mesos.RANGES, ranges: &mesos.Value_Ranges{Range: pieces}}, err
	case strings.HasPrefix(text, "{"):
		inner, ok := strings.CutSuffix(text[1:], "}")
		if !ok {
			return value{}, fmt.Errorf("the set %q has no closing brace", text)
		}
		set := &mesos.Value_Set{}
		for item := range strings.SplitSeq(inner, ",") {
			if item = strings.TrimSpace(item); item != "" {
				set.Item = append(set.Item, item)
			}
		}
		return value{kind: mesos.SET, set: set}, nil
	case decimal.MatchString(text):
		number, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return value{}, fmt.Errorf("the number %s is out of range", text)
		}
		return value{kind: mesos.SCALAR, scalar: &mesos.Value_Scalar{Value: number}}, nil
	}
	return value{kind: mesos.TEXT, text: text}, nil
}

func parseRanges(inner string) ([]mesos.Value_Range, error) {
	var pieces []mesos.Value_Range
	for piece := range strings.SplitSeq(inner, ",") {
		if piece = strings.TrimSpace(piece); piece == "" {
			continue
		}
		low, high, found := strings.Cut(piece, "-")
		begin, err1 := strconv.ParseUint(strings.TrimSpace(low), 10, 64)
		end, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 64)
		if !found || err1 != nil || err2 != nil {
			return nil, fmt.Errorf("range %q is not of the form 1-10", piece)
		}
		if end < begin {
			return nil, fmt.Errorf("range %q ends before it begins", piece)
		}
		pieces = append(pieces, mesos.Value_Range{Begin: begin, End: end})
	}
	return pieces, nil
}

// String is the bundle in the syntax of ParseText, for people: "cpus:4; mem(role):1024; ports:[31000-32000]". Refined
// reservations show as their last role, revocable resources have {REV} after them, resources with a disk {DISK}.
func (r Resources) String() string {
	if len(r.entries) == 0 {
		return "nothing"
	}
	parts := make([]string, 0, len(r.entries))
	for _, e := range r.entries {
		id := e.id.Value()
		part := id.name
		if id.depth > 0 {
			part += "(" + id.role + ")"
		}
		for _, mark := range []struct {
			on   bool
			text string
		}{{id.revocable, "{REV}"}, {id.shared, "{SHARED}"}, {id.disk != "", "{DISK}"}} {
			if mark.on {
				part += mark.text
			}
		}
		parts = append(parts, part+":"+e.valueText())
	}
	return strings.Join(parts, "; ")
}

func (e *entry) valueText() string {
	switch e.id.Value().kind {
	case mesos.SCALAR:
		return e.scalar.String()
	case mesos.RANGES:
		return e.ranges.String()
	default:
		return "{" + strings.Join(e.set, ", ") + "}"
	}
}

// Summary is how /state shows a bundle (reference section 2.5): cpus, gpus, mem and disk always there as numbers, other
// scalars as numbers, ranges and sets as text, revocable ones under <name>_revocable.
func (r Resources) Summary() map[string]any {
	sums := map[string]Amount{"cpus": 0, "gpus": 0, "mem": 0, "disk": 0}
	pieces := map[string]Ranges{}
	sets := map[string][]string{}
	for _, e := range r.entries {
		id := e.id.Value()
		key := id.name
		if id.revocable {
			key += "_revocable"
		}
		switch id.kind {
		case mesos.SCALAR:
			sums[key] += e.scalar
		case mesos.RANGES:
			pieces[key] = pieces[key].Plus(e.ranges)
		case mesos.SET:
			sets[key] = union(slices.Clone(sets[key]), e.set)
		}
	}
	out := make(map[string]any, len(sums)+len(pieces)+len(sets))
	for key, sum := range sums {
		out[key] = sum.Float()
	}
	for key, p := range pieces {
		out[key] = p.String()
	}
	for key, set := range sets {
		out[key] = "{" + strings.Join(set, ", ") + "}"
	}
	return out
}

// AppendSummary appends Summary as JSON, without the map.
func (r Resources) AppendSummary(b []byte) []byte {
	b = append(b, '{')
	for _, name := range [...]string{"cpus", "gpus", "mem", "disk"} {
		b = appendAmount(append(append(append(b, '"'), name...), '"', ':'), r.sum(name, false))
		b = append(b, ',')
	}
	for i := 0; i < len(r.entries); {
		name, end := r.entries[i].id.Value().name, i+1
		for end < len(r.entries) && r.entries[end].id.Value().name == name {
			end++
		}
		b = appendKind(b, name, r.entries[i:end])
		i = end
	}
	return append(b[:len(b)-1], '}')
}

// sum is the sum of a scalar, of what is revocable or what is not.
func (r Resources) sum(name string, revocable bool) Amount {
	var sum Amount
	for i := range r.entries {
		if e := &r.entries[i]; e.scalar != 0 {
			if id := e.id.Value(); id.name == name && id.revocable == revocable {
				sum += e.scalar
			}
		}
	}
	return sum
}

// appendKind appends what all resources of one name come to, but for the four that are always there.
func appendKind(b []byte, name string, entries []entry) []byte {
	for _, revocable := range [...]bool{false, true} {
		var scalar Amount
		var ranges Ranges
		var set []string
		found := false
		kind := mesos.SCALAR
		for i := range entries {
			if id := entries[i].id.Value(); id.revocable == revocable {
				found, kind = true, id.kind
				scalar, ranges, set = scalar+entries[i].scalar, ranges.Plus(entries[i].ranges), union(slices.Clone(set), entries[i].set)
			}
		}
		always := !revocable && kind == mesos.SCALAR && (name == "cpus" || name == "gpus" || name == "mem" || name == "disk")
		if !found || always {
			continue
		}
		key := name
		if revocable {
			key += "_revocable"
		}
		b = append(appendJSON(b, key), ':')
		switch kind {
		case mesos.SCALAR:
			b = appendAmount(b, scalar)
		case mesos.RANGES:
			b = append(append(append(b, '"'), ranges.String()...), '"')
		default:
			b = appendJSON(b, "{"+strings.Join(set, ", ")+"}")
		}
		b = append(b, ',')
	}
	return b
}

func appendJSON(b []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // no string fails
	}
	return append(b, quoted...)
}

// appendAmount appends the digits that Float has.
func appendAmount(b []byte, a Amount) []byte {
	if a%Unit == 0 {
		return strconv.AppendInt(b, int64(a/Unit), 10)
	}
	return strconv.AppendFloat(b, a.Float(), 'f', -1, 64)
}
