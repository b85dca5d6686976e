package api

import (
	"net/http"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/quota"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/offers"
)

// role is one role that is known: it has frameworks, allocations, reservations, a weight or a quota, or is above one that
// has. Amounts are those of the role with all roles below it.
type role struct {
	name       string
	weight     float64
	quota      *quota.QuotaConfig // nil is the default
	frameworks []string           // ids

	allocated, offered offers.Quantities
	reserved, unused   offers.Quantities // unused is what of the reserved nobody is allocated
}

// consumed is what of the role's quota is in use: reservations count whether they are used or not.
func (r *role) consumed() offers.Quantities {
	sum := offers.Quantities{}
	sum.Add(r.allocated, 1)
	sum.Add(r.unused, 1)
	return sum
}

// roleBook collects roles.
type roleBook map[string]*role

func (b roleBook) get(name string) *role {
	r := b[name]
	if r == nil {
		r = &role{name: name, weight: 1, allocated: offers.Quantities{}, offered: offers.Quantities{}, reserved: offers.Quantities{}, unused: offers.Quantities{}}
		b[name] = r
		if i := strings.LastIndexByte(name, '/'); i > 0 {
			b.get(name[:i])
		}
	}
	return r
}

// count adds amounts to a role and those above it; field says which of its amounts.
func (b roleBook) count(name string, q offers.Quantities, sign offers.Amount, field func(*role) offers.Quantities) {
	if name == "" {
		return
	}
	b.get(name)
	for {
		field(b[name]).Add(q, sign)
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return
		}
		name = name[:i]
	}
}

// rolesOf collects the roles of a view, by name.
func rolesOf(v *core.View) []*role {
	book := roleBook{}
	for _, f := range v.Frameworks {
		roles := map[string]bool{}
		for _, name := range f.Roles() {
			roles[name] = true
		}
		for name, q := range f.Used.AllocatedQuantities() {
			book.count(name, q, 1, func(r *role) offers.Quantities { return r.allocated })
			roles[name] = true
		}
		for name, q := range f.Offered.AllocatedQuantities() {
			book.count(name, q, 1, func(r *role) offers.Quantities { return r.offered })
			roles[name] = true
		}
		for _, name := range sortedNames(roles) {
			if name != "" {
				r := book.get(name)
				r.frameworks = append(r.frameworks, f.ID())
			}
		}
	}
	for _, a := range v.Agents {
		for name, r := range a.Total.Reserved() {
			book.count(name, r.Quantities(), 1, func(r *role) offers.Quantities { return r.reserved })
			book.count(name, r.Quantities(), 1, func(r *role) offers.Quantities { return r.unused })
		}
		for name, r := range a.Used.Reserved() {
			book.count(name, r.Quantities(), -1, func(r *role) offers.Quantities { return r.unused })
		}
	}
	for _, w := range v.Weights {
		book.get(w.GetRole()).weight = w.Weight
	}
	for i := range v.Quotas {
		book.get(v.Quotas[i].Role).quota = &v.Quotas[i]
	}
	var list []*role
	for _, name := range sortedNames(book) {
		if v.SeesRole(name) {
			list = append(list, book[name])
		}
	}
	return list
}

// roles is /roles.
func (s *Server) roles(v *core.View, _ *forms) *document {
	var b builder
	b.open('{')
	b.field("roles")
	b.open('[')
	for _, r := range rolesOf(v) {
		b.role(r)
	}
	b.close(']')
	b.close('}')
	return b.done()
}

// role writes a role.
func (t *text) role(r *role) {
	t.open('{')
	t.stringField("name", r.name)
	t.numberField("weight", r.weight)
	t.field("quota")
	t.open('{')
	t.stringField("role", r.name)
	t.scalars("guarantee", r.quota.GetGuarantees())
	t.scalars("limit", r.quota.GetLimits())
	t.quantities("consumed", r.consumed())
	t.close('}')
	t.quantities("resources", r.held())
	t.quantities("allocated", r.allocated)
	t.quantities("offered", r.offered)
	t.quantities("reserved", r.reserved)
	t.strings("frameworks", r.frameworks)
	t.close('}')
}

// held is what is allocated or offered.
func (r *role) held() offers.Quantities {
	sum := offers.Quantities{}
	sum.Add(r.allocated, 1)
	sum.Add(r.offered, 1)
	return sum
}

func (t *text) quantities(name string, q offers.Quantities) {
	t.field(name)
	t.open('{')
	for _, kind := range sortedNames(q) {
		t.named(kind)
		t.number(q[kind].Float())
	}
	t.close('}')
}

func (t *text) scalars(name string, amounts map[string]mesos.Value_Scalar) {
	t.field(name)
	t.open('{')
	for _, kind := range sortedNames(amounts) {
		t.named(kind)
		t.number(amounts[kind].Value)
	}
	t.close('}')
}

// roleMessages is the answer to GET_ROLES (reference row OP1-14).
func roleMessages(v *core.View) []mesos.Role {
	var list []mesos.Role
	for _, r := range rolesOf(v) {
		m := mesos.Role{Name: r.name, Weight: r.weight}
		held := r.held()
		for _, kind := range sortedNames(held) {
			m.Resources = append(m.Resources, mesos.Resource{Name: kind, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: held[kind].Float()}})
		}
		for _, f := range r.frameworks {
			m.Frameworks = append(m.Frameworks, mesos.FrameworkID{Value: f})
		}
		list = append(list, m)
	}
	return list
}

// roleMetrics are those of the allocator's roles (reference appendix C).
func (s *Server) roleMetrics(r *http.Request, m map[string]float64) error {
	standings, refusals, err := s.backend.Standings(r.Context())
	if err != nil {
		return err
	}
	for i := range standings {
		x := &standings[i]
		if len(x.Frameworks) > 0 {
			m["allocator/mesos/roles/"+x.Role+"/shares/dominant"] = x.Share
			m["allocator/mesos/offer_filters/roles/"+x.Role+"/active"] = float64(refusals[x.Role])
		}
		prefix := "allocator/mesos/quota/roles/" + x.Role + "/resources/"
		for kind, amount := range x.Consumed {
			m[prefix+kind+"/consumed"] = amount.Float()
		}
		for suffix, amounts := range map[string]offers.Quantities{"/guarantee": x.Quota.Guarantees, "/limit": x.Quota.Limits} {
			for kind, amount := range amounts {
				m[prefix+kind+suffix] = amount.Float()
				m[prefix+kind+"/offered_or_allocated"] = x.Allocated[kind].Float()
			}
		}
	}
	return nil
}
