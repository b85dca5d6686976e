package core

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/quota"

	"github.com/tombolo-project/tombolo/offers"
)

// This file is the checks of quotas. Their texts are Mesos's own; hence the capital letters.

// The largest amounts a quota can name: an exabyte of memory or disk, in megabytes, and
// 10^12 of anything else.
const (
	maxQuotaMegabytes = 1 << 40
	maxQuotaAmount    = 1e12
)

// validQuotaConfig checks one role's quota by itself (reference row OP1-26).
func validQuotaConfig(c *quota.QuotaConfig) error {
	if err := ValidRole(c.Role); err != nil {
		return fmt.Errorf("Invalid 'QuotaConfig.role': %w", err) //nolint:staticcheck // Mesos's text
	}
	for _, list := range []struct {
		name    string
		amounts map[string]mesos.Value_Scalar
	}{{"guarantees", c.Guarantees}, {"limits", c.Limits}} {
		if err := notTooLarge(list.amounts); err != nil {
			return fmt.Errorf("Invalid 'QuotaConfig.%s': %w", list.name, err)
		}
	}
	for _, list := range []struct {
		name    string
		amounts map[string]mesos.Value_Scalar
	}{{"guarantee", c.Guarantees}, {"limit", c.Limits}} {
		for _, name := range sortedKeys(list.amounts) {
			value := list.amounts[name].Value
			if text := invalidScalar(value); text != "" {
				return fmt.Errorf("Invalid %s configuration {'%s': %s}: %s", list.name, name, number(value), text)
			}
		}
	}
	if !quantitiesOf(c.Guarantees).Within(limitsOf(c.Limits)) {
		return fmt.Errorf("'QuotaConfig.guarantees' %s is not contained within the 'QuotaConfig.limits' %s", braces(c.Guarantees), braces(c.Limits))
	}
	return nil
}

func notTooLarge(amounts map[string]mesos.Value_Scalar) error {
	for _, name := range sortedKeys(amounts) {
		value, bound, text := amounts[name].Value, float64(maxQuotaAmount), "1 trillion (1000000000000)"
		if name == "mem" || name == "disk" {
			bound, text = maxQuotaMegabytes, "1 exabyte (1099511627776)"
		}
		if value > bound {
			return fmt.Errorf("{'%s': %s} is invalid: values greater than %s are not supported", name, number(value), text)
		}
	}
	return nil
}

// invalidScalar says why an operator may not write this number, "" if it is fine.
func invalidScalar(value float64) string {
	switch {
	case math.IsNaN(value):
		return "NaN not supported"
	case math.IsInf(value, 0):
		return "Infinite values not supported"
	case value != 0 && math.Abs(value) < 0x1p-1022:
		return "Subnormal values not supported"
	case value < 0:
		return "Negative values not supported"
	default:
		return ""
	}
}

// number writes a scalar as Mesos does: up to 15 digits.
func number(value float64) string { return strconv.FormatFloat(value, 'g', 15, 64) }

// braces writes amounts as Mesos writes a map: "{ cpus: 2 }".
func braces(amounts map[string]mesos.Value_Scalar) string {
	var parts []string
	for _, name := range sortedKeys(amounts) {
		parts = append(parts, name+": "+number(amounts[name].Value))
	}
	if len(parts) == 0 {
		return "{}"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// limitsOf reads amounts that were checked, those of 0 too: nothing is a limit, as well.
func limitsOf(amounts map[string]mesos.Value_Scalar) offers.Quantities {
	q := offers.Quantities{}
	for name, v := range amounts {
		q[name] = offers.Amount(math.Round(v.Value * float64(offers.Unit)))
	}
	return q
}

// quantitiesOf reads amounts that were checked, without those of 0.
func quantitiesOf(amounts map[string]mesos.Value_Scalar) offers.Quantities {
	q := limitsOf(amounts)
	for name, amount := range q {
		if amount == 0 {
			delete(q, name)
		}
	}
	return q
}

// wireOf writes amounts as the wire's scalars.
func wireOf(q offers.Quantities) map[string]mesos.Value_Scalar {
	if len(q) == 0 {
		return nil
	}
	m := make(map[string]mesos.Value_Scalar, len(q))
	for name, amount := range q {
		m[name] = mesos.Value_Scalar{Value: amount.Float()}
	}
	return m
}

// brokenHierarchy says which role guarantees less than the roles right below it together.
func brokenHierarchy(guarantees map[string]offers.Quantities) error {
	below := map[string]offers.Quantities{} // sums of the children, by parent
	for role, q := range guarantees {
		parent := parentRole(role)
		if parent == "" {
			continue
		}
		if below[parent] == nil {
			below[parent] = offers.Quantities{}
		}
		below[parent].Add(q, 1)
	}
	for _, parent := range sortedKeys(below) {
		if own := guarantees[parent]; !own.Contains(below[parent]) {
			return fmt.Errorf("Invalid quota configuration. Parent role '%s' with guarantees (%s) does not contain the sum of its children's guarantees (%s)",
				parent[strings.LastIndexByte(parent, '/')+1:], own, below[parent])
		}
	}
	return nil
}

func parentRole(role string) string {
	if i := strings.LastIndexByte(role, '/'); i >= 0 {
		return role[:i]
	}
	return ""
}

// totalGuarantees sums the top-level roles, which contain the others.
func totalGuarantees(guarantees map[string]offers.Quantities) offers.Quantities {
	sum := offers.Quantities{}
	for role, q := range guarantees {
		if parentRole(role) == "" {
			sum.Add(q, 1)
		}
	}
	return sum
}

// validQuotaRequest checks the older form of a quota by itself and returns its amounts (reference row OP1-27).
func validQuotaRequest(r *quota.QuotaRequest) (map[string]mesos.Value_Scalar, error) {
	for i := range r.Guarantee {
		if err := validQuotaResource(&r.Guarantee[i]); err != nil {
			return nil, fmt.Errorf("QuotaInfo with invalid resource: %w", err)
		}
	}
	if r.Role == nil {
		return nil, fmt.Errorf("QuotaInfo must specify a role")
	}
	if err := ValidRole(r.GetRole()); err != nil {
		return nil, fmt.Errorf("QuotaInfo with invalid role: %w", err)
	}
	if len(r.Guarantee) == 0 {
		return nil, fmt.Errorf("QuotaInfo with empty 'guarantee'")
	}
	amounts := map[string]mesos.Value_Scalar{}
	for i := range r.Guarantee {
		x := &r.Guarantee[i]
		_, twice := amounts[x.Name]
		switch {
		case len(x.Reservations) > 0 || x.GetRole() != "*" && x.GetRole() != "" || x.Reservation != nil:
			return nil, fmt.Errorf("QuotaInfo must not contain any ReservationInfo")
		case x.Disk != nil:
			return nil, fmt.Errorf("QuotaInfo must not contain DiskInfo")
		case x.Revocable != nil:
			return nil, fmt.Errorf("QuotaInfo must not contain RevocableInfo")
		case x.GetType() != mesos.SCALAR:
			return nil, fmt.Errorf("QuotaInfo must not include non-scalar resources")
		case twice:
			return nil, fmt.Errorf("QuotaInfo contains duplicate resource name '%s'", x.Name)
		}
		amounts[x.Name] = *x.Scalar
	}
	return amounts, notTooLarge(amounts)
}

// validQuotaResource checks the form of one resource of the older form.
func validQuotaResource(x *mesos.Resource) error {
	if x.Type != nil && *x.Type == mesos.SCALAR && x.Scalar != nil && !(x.Scalar.Value > 0) {
		return fmt.Errorf("Resource '%s:%s' is invalid: Invalid scalar resource: value <= 0", x.Name, number(x.Scalar.Value))
	}
	if x.Type != nil && *x.Type == mesos.SCALAR && x.Scalar != nil && x.Scalar.Value > maxQuotaAmount {
		return nil // named by notTooLarge
	}
	_, err := offers.Parse([]mesos.Resource{*x})
	return err
}

// sortedConfigs lists quotas by role.
func sortedConfigs(m map[string]quota.QuotaConfig) []quota.QuotaConfig {
	list := make([]quota.QuotaConfig, 0, len(m))
	for _, c := range m {
		list = append(list, c)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Role < list[j].Role })
	return list
}
