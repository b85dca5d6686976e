package marathon

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// selector is a label query of GET /v2/apps?label=..., a list of conditions that must all hold:
// key, key==value, key!=value, key in (a,b), key notin (a,b).
type selector []labelCondition

type labelCondition struct {
	key    string
	values []string // nil = the key exists
	not    bool
}

var (
	equality   = regexp.MustCompile(`^([^\s=!,()]+)\s*(==|!=)\s*(\S+)$`)
	membership = regexp.MustCompile(`^([^\s=!,()]+)\s+(in|notin)\s+\(([^()]*)\)$`)
	existence  = regexp.MustCompile(`^[^\s=!,()]+$`)
)

func parseSelector(text string) (selector, error) {
	var s selector
	for _, part := range splitOutside(text) {
		part = strings.TrimSpace(part)
		if m := equality.FindStringSubmatch(part); m != nil {
			s = append(s, labelCondition{m[1], []string{m[3]}, m[2] == "!="})
		} else if m := membership.FindStringSubmatch(part); m != nil {
			values := strings.Split(m[3], ",")
			for n := range values {
				values[n] = strings.TrimSpace(values[n])
			}
			s = append(s, labelCondition{m[1], values, m[2] == "notin"})
		} else if existence.MatchString(part) {
			s = append(s, labelCondition{key: part})
		} else if part != "" {
			return nil, &Error{Kind: Malformed, Message: fmt.Sprintf("label selector %q is not key, key==value, key!=value, key in (a,b) or key notin (a,b)", part)}
		}
	}
	return s, nil
}

// splitOutside splits at commas that are not within parentheses.
func splitOutside(text string) []string {
	depth, start := 0, 0
	var parts []string
	for n, r := range text {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			parts, start = append(parts, text[start:n]), n+1
		}
	}
	return append(parts, text[start:])
}

func (s selector) matches(labels map[string]string) bool {
	return !slices.ContainsFunc(s, func(c labelCondition) bool {
		value, exists := labels[c.key]
		return !exists || c.values != nil && slices.Contains(c.values, value) == c.not
	})
}
