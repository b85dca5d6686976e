package placement

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Constraint is one placement rule, in JSON Marathon's list of two or three texts: ["hostname", "UNIQUE"],
// ["rack", "LIKE", "r[12]"]. Reference: Marathon's operators UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER, IS.
type Constraint struct {
	Field, Operator, Value string
}

// Operators lists what Operator may be.
var Operators = []string{"UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS"}

// MarshalJSON writes the list form.
func (c Constraint) MarshalJSON() ([]byte, error) {
	if c.Value == "" {
		return json.Marshal([]string{c.Field, c.Operator})
	}
	return json.Marshal([]string{c.Field, c.Operator, c.Value})
}

// UnmarshalJSON reads the list form.
func (c *Constraint) UnmarshalJSON(data []byte) error {
	var parts []string
	if err := json.Unmarshal(data, &parts); err != nil || len(parts) < 2 || len(parts) > 3 {
		return fmt.Errorf("a constraint is a list of two or three texts, [field, operator, value], not %.100s", data)
	}
	*c = Constraint{Field: parts[0], Operator: parts[1]}
	if len(parts) == 3 {
		c.Value = parts[2]
	}
	return nil
}

// Parse reads "field:OPERATOR[:value]", the form of command lines.
func Parse(text string) (Constraint, error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) < 2 {
		return Constraint{}, fmt.Errorf("constraint %q: want FIELD:OPERATOR[:VALUE]", text)
	}
	c := Constraint{Field: parts[0], Operator: strings.ToUpper(parts[1])}
	if len(parts) == 3 {
		c.Value = parts[2]
	}
	return c, c.Validate()
}

// Validate says in one sentence what is wrong with the constraint.
func (c Constraint) Validate() error {
	if c.Field == "" {
		return fmt.Errorf("a constraint needs a field")
	}
	switch c.Operator {
	case "UNIQUE":
		if c.Value != "" {
			return fmt.Errorf("UNIQUE on %s takes no value", c.Field)
		}
	case "CLUSTER":
	case "IS":
		if c.Value == "" {
			return fmt.Errorf("IS on %s needs a value", c.Field)
		}
	case "GROUP_BY":
		if n, err := strconv.Atoi(c.Value); c.Value != "" && (err != nil || n < 1) {
			return fmt.Errorf("GROUP_BY on %s needs a positive number of groups, not %q", c.Field, c.Value)
		}
	case "MAX_PER":
		if n, err := strconv.Atoi(c.Value); err != nil || n < 1 {
			return fmt.Errorf("MAX_PER on %s needs a positive number, not %q", c.Field, c.Value)
		}
	case "LIKE", "UNLIKE":
		if c.Value == "" {
			return fmt.Errorf("%s on %s needs a regular expression", c.Operator, c.Field)
		}
		if _, err := regexp.Compile(c.Value); err != nil {
			return fmt.Errorf("%s on %s: %q is not a regular expression", c.Operator, c.Field, c.Value)
		}
	default:
		return fmt.Errorf("operator %q on %s is not one of %s", c.Operator, c.Field, strings.Join(Operators, ", "))
	}
	return nil
}

// Reader reads a field of a place; ok is false where it has none.
type Reader func(field string) (value string, ok bool)

// Allow tells whether one more of `total` instances may go to the machine, given where the others are.
func (c Constraint) Allow(machine Reader, others []Reader, total int) bool {
	here, ok := machine(c.Field)
	if !ok {
		return c.Operator == "UNLIKE"
	}
	counts := map[string]int{} // instances per value; "" counts those without the field
	for _, other := range others {
		value, _ := other(c.Field)
		counts[value]++
	}
	switch c.Operator {
	case "UNIQUE":
		return counts[here] == 0
	case "IS":
		return here == c.scalar()
	case "CLUSTER":
		if c.Value != "" {
			return here == c.Value
		}
		return len(others) == 0 || counts[here] > 0
	case "MAX_PER":
		limit, _ := strconv.Atoi(c.Value)
		return counts[here] < limit
	case "GROUP_BY":
		return c.groupBy(here, counts, total)
	case "LIKE":
		return c.matches(here)
	case "UNLIKE":
		return !c.matches(here)
	}
	return false
}

// scalar is the value with numbers written as attributes are.
func (c Constraint) scalar() string {
	if f, err := strconv.ParseFloat(c.Value, 64); err == nil && !strings.ContainsAny(c.Value, "eExXpPnNiI_") {
		return number(f)
	}
	return c.Value
}

// matches is true when the whole text matches, as Java's String.matches has it.
func (c Constraint) matches(text string) bool {
	re, err := regexp.Compile(`\A(?:` + c.Value + `)\z`)
	return err == nil && re.MatchString(text)
}

// groupBy spreads evenly: each value gets total/groups instances, and the remainder one more each. Without a number
// of groups, a value is full when it has more than the emptiest value that is in use.
func (c Constraint) groupBy(here string, counts map[string]int, total int) bool {
	groups, _ := strconv.Atoi(c.Value)
	if groups == 0 {
		least := -1
		for _, n := range counts {
			if least < 0 || n < least {
				least = n
			}
		}
		return counts[here] == 0 || counts[here] <= least
	}
	each, rest := total/groups, total%groups
	for _, n := range counts {
		rest -= max(0, n-each)
	}
	n, used := counts[here]
	if !used {
		return len(counts) < groups
	}
	return n < each || n == each && rest > 0
}

// AllowAll applies all constraints.
func AllowAll(constraints []Constraint, machine Reader, others []Reader, total int) bool {
	return !slices.ContainsFunc(constraints, func(c Constraint) bool { return !c.Allow(machine, others, total) })
}
