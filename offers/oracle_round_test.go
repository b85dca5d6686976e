package offers

import (
	"fmt"
	"slices"
	"strings"
)

// This is the oracle's round, after reference section 3.3, step by step.

func oracleTop(role string) string {
	top, _, _ := strings.Cut(role, "/")
	return top
}

// counted is what of a bundle counts toward quota by being held: unreserved, non-revocable scalars.
func counted(r Resources) Quantities { return r.Unreserved().NonRevocable().Quantities() }

// consumed is row RUN-02.
func (o *oracle) consumed(top string) Quantities {
	sum := Quantities{}
	for c, byAgent := range o.booked {
		for _, r := range byAgent {
			if oracleTop(c.role) == top {
				sum.Add(counted(r), 1)
			}
		}
	}
	for _, a := range o.agents {
		for role, r := range a.Total.Reserved() {
			if oracleTop(role) == top {
				sum.Add(r.NonRevocable().Quantities(), 1)
			}
		}
	}
	return sum
}

// unmet is what a role's guarantee lacks.
func (o *oracle) unmet(top string) Quantities {
	out := Quantities{}
	consumed := o.consumed(top)
	for name, amount := range o.quotas[top].Guarantees {
		if lacks := amount - consumed[name]; lacks > 0 {
			out[name] = lacks
		}
	}
	return out
}

// headroom is row RUN-03: what guarantees need, and what there is for them.
func (o *oracle) headroom() (required, available Quantities) {
	required, available = Quantities{}, Quantities{}
	for top := range o.quotas {
		required.Add(o.unmet(top), 1)
	}
	for id := range o.agents {
		if o.offered(id) {
			available.Add(counted(o.free(id)), 1)
		}
	}
	return required, available
}

func (o *oracle) offered(agent string) bool {
	a, known := o.agents[agent]
	return known && a.Active && (o.whitelist == nil || o.whitelist[a.Info.Hostname])
}

// shrunk is a bundle of scalars with no more of each than the limits; a kind without limit is left whole if loose, else it is
// not there.
func shrunk(r Resources, limits Quantities, loose bool) Resources {
	limits = cloned(limits)
	out := slices.Clone(r.entries)
	for i := range out {
		name := out[i].id.Value().name
		limit, limited := limits[name]
		if !limited && loose {
			continue
		}
		out[i].scalar = min(out[i].scalar, max(0, limit))
		limits[name] -= out[i].scalar
	}
	return collect(out)
}

func cloned(q Quantities) Quantities {
	out := Quantities{}
	for name, amount := range q {
		out[name] = amount
	}
	return out
}

// withinQuota is what quota leaves of an offer: in the first stage what the guarantee lacks, and beyond it, as in the second,
// what limit and headroom allow (RUN-04, RUN-05). What does not count toward quota is not held back.
func (o *oracle) withinQuota(stage int, c oracleClient, offer Resources) Resources {
	top := oracleTop(c.role)
	quotaPart := offer.filter(func(e *entry) bool {
		id := e.id.Value()
		return e.scalar > 0 && id.depth == 0 && !id.revocable
	})
	give := offer.without(quotaPart)
	if stage == guarantees {
		promised := shrunk(quotaPart, o.unmet(top), false)
		if promised.IsZero() {
			return Resources{}
		}
		give = give.Plus(promised)
		quotaPart = quotaPart.without(promised)
	}
	promised := counted(give)
	limits := Quantities{}
	consumed := o.consumed(top)
	for name, limit := range o.quotas[top].Limits {
		limits[name] = limit - consumed[name] - promised[name]
	}
	quotaPart = shrunk(quotaPart, limits, true)
	surplus := Quantities{}
	required, available := o.headroom()
	for name := range required {
		surplus[name] = available[name] - required[name]
	}
	return give.Plus(shrunk(quotaPart, surplus, true))
}

// allocate runs a round over the agents in the given order for each stage, and books it. Where the order of clients is
// random, the grants that were made say what it was.
func (o *oracle) allocate(agents [stages][]string, made [stages][]Grant) ([]Grant, error) {
	var grants []Grant
	given := map[string]Resources{} // shared volumes offered in this round, by agent
	for stage := range agents {
		for _, id := range agents[stage] {
			if !o.offered(id) {
				continue
			}
			clients := o.order()
			if o.options.RoleSorter == Random || o.options.FrameworkSorter == Random {
				clients = o.asMade(made[stage], id)
			}
			left := o.free(id).without(given[id])
			for _, c := range clients {
				offer := o.offerable(stage, c, id, left)
				if offer.IsZero() {
					continue
				}
				g := Grant{Framework: c.framework, Role: c.role, Agent: id, Resources: offer.Allocate(c.role)}
				grants = append(grants, g)
				left = left.without(offer)
				given[id] = given[id].Plus(offer.Shared()).Once()
				o.book(c, id, g.Resources)
			}
			for _, c := range o.order() {
				if offer := o.offerable(stage, c, id, left); !offer.IsZero() {
					return grants, fmt.Errorf("stage %d: %v could still have %s of agent %s", stage, c, offer, id)
				}
			}
		}
	}
	return grants, nil
}

// asMade are the clients in the order in which they were granted something of the agent.
func (o *oracle) asMade(made []Grant, agent string) []oracleClient {
	var out []oracleClient
	for _, g := range made {
		if g.Agent == agent {
			out = append(out, oracleClient{g.Framework, g.Role})
		}
	}
	return out
}
