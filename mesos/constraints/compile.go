package constraints

import (
	"fmt"
	"slices"
	"sort"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// Filter says whether a framework wants offers of an agent. It is a pure function.
type Filter func(*mesos.AgentInfo) bool

// test looks at one property of an agent.
type test func(property) bool

// property is a property of an agent: absent, a text, or an attribute that is no text.
type property struct {
	there, text bool
	value       string
}

// Compile checks constraints and returns a filter for each role that has some. The
// roles themselves are the caller's to check. Errors have Mesos's words.
func Compile(c *OfferConstraints, limits Limits) (map[string]Filter, error) {
	if c == nil || len(c.RoleConstraints) == 0 {
		return nil, nil
	}
	filters := make(map[string]Filter, len(c.RoleConstraints))
	for _, role := range c.Roles() {
		f, err := compileRole(role, c.RoleConstraints[role], limits)
		if err != nil {
			return nil, err
		}
		filters[role] = f
	}
	return filters, nil
}

// Roles lists the roles that have constraints, sorted.
func (m *OfferConstraints) Roles() []string {
	if m == nil {
		return nil
	}
	roles := make([]string, 0, len(m.RoleConstraints))
	for role := range m.RoleConstraints {
		roles = append(roles, role)
	}
	sort.Strings(roles)
	return roles
}

func compileRole(role string, c RoleConstraints, limits Limits) (Filter, error) {
	if len(c.Groups) == 0 {
		return nil, fmt.Errorf("'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role %s", role)
	}
	groups := make([][]Filter, len(c.Groups))
	for i, g := range c.Groups {
		if len(g.AttributeConstraints) == 0 {
			return nil, fmt.Errorf("'OfferConstraints::RoleConstraints::groups' for role %s contains an empty RoleConstraints::Group", role)
		}
		for j := range g.AttributeConstraints {
			f, err := compileConstraint(&g.AttributeConstraints[j], limits)
			if err != nil {
				return nil, fmt.Errorf("A role %s has an invalid 'AttributeConstraint': %w", role, err) //nolint:staticcheck // Mesos's text
			}
			groups[i] = append(groups[i], f)
		}
	}
	return func(a *mesos.AgentInfo) bool {
		return slices.ContainsFunc(groups, func(group []Filter) bool {
			return !slices.ContainsFunc(group, func(f Filter) bool { return !f(a) })
		})
	}, nil
}

func compileConstraint(c *AttributeConstraint, limits Limits) (Filter, error) {
	look, err := compileSelector(&c.Selector)
	if err != nil {
		return nil, err
	}
	holds, err := compilePredicate(&c.Predicate, limits)
	if err != nil {
		return nil, err
	}
	return func(a *mesos.AgentInfo) bool { return holds(look(a)) }, nil
}

func compileSelector(s *Selector) (func(*mesos.AgentInfo) property, error) {
	switch {
	case s.AttributeName != nil:
		name := *s.AttributeName
		return func(a *mesos.AgentInfo) property { return attribute(a, name) }, nil
	case s.PseudoattributeType == nil:
		return nil, fmt.Errorf("Exactly one of 'AttributeConstraint::Selector::name' or 'AttributeConstraint::Selector::pseudoattribute_type' must be set") //nolint:staticcheck // Mesos's text
	}
	switch *s.PseudoattributeType {
	case Hostname:
		return func(a *mesos.AgentInfo) property { return property{there: true, text: true, value: a.Hostname} }, nil
	case Region:
		return func(a *mesos.AgentInfo) property {
			return domain(a, func(d *mesos.DomainInfo_FaultDomain) string { return d.Region.Name })
		}, nil
	case Zone:
		return func(a *mesos.AgentInfo) property {
			return domain(a, func(d *mesos.DomainInfo_FaultDomain) string { return d.Zone.Name })
		}, nil
	default:
		return nil, fmt.Errorf("Unknown pseudoattribute type") //nolint:staticcheck // Mesos's text
	}
}

// attribute looks at the first attribute of a name; others of that name do not count.
func attribute(a *mesos.AgentInfo, name string) property {
	for i := range a.Attributes {
		if x := &a.Attributes[i]; x.Name == name {
			return property{there: true, text: x.Type == mesos.TEXT, value: x.GetText().GetValue()}
		}
	}
	return property{}
}

func domain(a *mesos.AgentInfo, part func(*mesos.DomainInfo_FaultDomain) string) property {
	d := a.GetDomain().GetFaultDomain()
	if d == nil {
		return property{}
	}
	return property{there: true, text: true, value: part(d)}
}

// compilePredicate makes the test of a predicate. A text predicate lets an attribute
// pass that is there and no text: the framework has to look itself (reference row OFF-13).
func compilePredicate(p *Predicate, limits Limits) (test, error) {
	switch {
	case p.Exists != nil:
		return func(x property) bool { return x.there }, nil
	case p.NotExists != nil:
		return func(x property) bool { return !x.there }, nil
	case p.TextEquals != nil:
		want := p.TextEquals.Value
		return func(x property) bool { return x.there && (!x.text || x.value == want) }, nil
	case p.TextNotEquals != nil:
		want := p.TextNotEquals.Value
		return func(x property) bool { return !x.there || !x.text || x.value != want }, nil
	case p.TextMatches != nil:
		match, err := compileRegex(p.TextMatches.Regex, limits)
		if err != nil {
			return nil, err
		}
		return func(x property) bool { return x.there && (!x.text || match(x.value)) }, nil
	case p.TextNotMatches != nil:
		match, err := compileRegex(p.TextNotMatches.Regex, limits)
		if err != nil {
			return nil, err
		}
		return func(x property) bool { return !x.there || !x.text || !match(x.value) }, nil
	default:
		return nil, fmt.Errorf("Unknown predicate type") //nolint:staticcheck // Mesos's text
	}
}
