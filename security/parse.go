package security

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// maxEntries bounds one list of an ACL document.
const maxEntries = 10_000

// ParseACLs reads an ACL document in Mesos's JSON format (reference section 6.4). Names that mean nothing are refused:
// in access control a misspelt name is a hole, which Mesos would leave open.
func ParseACLs(document []byte) (*ACLs, error) {
	var top map[string]json.RawMessage
	if err := strict(document, &top); err != nil {
		return nil, fmt.Errorf("the ACLs are not a JSON object: %w", err)
	}
	if top == nil {
		return nil, errors.New("the ACLs are not a JSON object")
	}
	known := map[string]kind{}
	for _, k := range kinds {
		for _, key := range k.lists {
			known[key] = k
		}
	}
	a := &ACLs{permissive: true, lists: map[string][]rule{}}
	for _, key := range slices.Sorted(maps.Keys(top)) {
		if key == "permissive" {
			if err := strict(top[key], &a.permissive); err != nil {
				return nil, errors.New(`"permissive" is neither true nor false`)
			}
			continue
		}
		k, ok := known[key]
		if !ok {
			return nil, fmt.Errorf("the ACLs know no list %q", key)
		}
		rules, err := parseList(k, top[key])
		if err != nil {
			return nil, fmt.Errorf("%s%w", key, err)
		}
		a.lists[key] = rules
	}
	return a, nil
}

// Lists are the keys of an ACL document, each with the field of its entries that names the objects.
func Lists() map[string]string {
	all := map[string]string{}
	for _, k := range kinds {
		for _, key := range k.lists {
			all[key] = k.field
		}
	}
	return all
}

func parseList(k kind, text json.RawMessage) ([]rule, error) {
	var entries []map[string]json.RawMessage
	if err := strict(text, &entries); err != nil {
		return nil, fmt.Errorf(": is not a list of objects: %w", err)
	}
	if len(entries) > maxEntries {
		return nil, fmt.Errorf(": has more than %d entries", maxEntries)
	}
	var rules []rule
	for i, entry := range entries {
		r, err := parseRule(k, entry)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func parseRule(k kind, entry map[string]json.RawMessage) (r rule, err error) {
	for _, name := range slices.Sorted(maps.Keys(entry)) {
		if name != "principals" && name != k.field {
			return r, fmt.Errorf("%q is neither \"principals\" nor %q", name, k.field)
		}
	}
	if r.subjects, err = parseEntity(entry, "principals"); err != nil {
		return r, err
	}
	if r.objects, err = parseEntity(entry, k.field); err != nil {
		return r, err
	}
	return r, k.valid(r.objects)
}

// valid checks what an entry names as objects.
func (k kind) valid(e entity) error {
	if k.objects == implicit && e.kind == some {
		return fmt.Errorf("%q must have the type ANY or NONE", k.field)
	}
	for _, v := range e.values {
		switch {
		case k.objects == paths && !authorizablePaths[v]:
			return fmt.Errorf("the path %q cannot be authorized; %s can", v, strings.Join(slices.Sorted(maps.Keys(authorizablePaths)), ", "))
		case k.objects != roles && strings.HasSuffix(v, recursiveSuffix):
			return fmt.Errorf("%q stands for roles, and %q has none", v, k.field)
		}
	}
	return nil
}

func parseEntity(entry map[string]json.RawMessage, name string) (e entity, err error) {
	text, there := entry[name]
	if !there {
		return e, fmt.Errorf("%q is missing", name)
	}
	var form struct {
		Type   *string  `json:"type"`
		Values []string `json:"values"`
	}
	if err := strict(text, &form); err != nil {
		return e, fmt.Errorf(`%q is neither {"type": "ANY" or "NONE"} nor {"values": [...]}: %w`, name, err)
	}
	switch {
	case form.Type == nil || *form.Type == "SOME":
		if form.Values == nil {
			return e, fmt.Errorf("%q has neither a type nor values", name)
		}
		return entity{values: form.Values}, nil
	case *form.Type == "ANY":
		return entity{kind: anyone}, nil
	case *form.Type == "NONE":
		return entity{kind: none}, nil
	}
	return e, fmt.Errorf("%q has the type %q, not ANY, NONE or SOME", name, *form.Type)
}

// strict reads one JSON value, and nothing after it.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}
