package offers

import (
	"slices"
	"sort"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// oracle is the ledger and the allocator once more, written straight from the rules with lists and maps and no thought for
// speed. It shares with the real one the arithmetic of Resources (which has properties of its own) and nothing else.
type oracle struct {
	options    Options
	now        int64
	agents     map[string]Agent
	frameworks map[string]Framework // subscribed ones
	weights    map[string]float64
	booked     map[oracleClient]map[string]Resources // by agent
	filters    []oracleFilter
	counts     map[oracleClient]int
	quotas     map[string]Quota
	whitelist  map[string]bool // nil: all hosts
	own        map[string]int  // bookings ever, by role
	all        map[string]int  // bookings ever, by role, with those of roles below
}

type oracleClient struct{ framework, role string }

type oracleFilter struct {
	client  oracleClient
	agent   string
	refused Resources
	until   int64
}

func newOracle(o Options) *oracle {
	return &oracle{options: o, quotas: map[string]Quota{}, agents: map[string]Agent{}, frameworks: map[string]Framework{}, weights: map[string]float64{},
		booked: map[oracleClient]map[string]Resources{}, counts: map[oracleClient]int{}, own: map[string]int{}, all: map[string]int{}}
}

func (o *oracle) book(c oracleClient, agent string, r Resources) {
	if o.booked[c] == nil {
		o.booked[c] = map[string]Resources{}
	}
	o.booked[c][agent] = o.booked[c][agent].Plus(r)
	o.counts[c]++
	o.own[c.role]++
	for role := c.role; ; role = role[:strings.LastIndexByte(role, '/')] {
		o.all[role]++
		if !strings.Contains(role, "/") {
			return
		}
	}
}

func (o *oracle) unbook(c oracleClient, agent string, r Resources) {
	rest, err := o.booked[c][agent].Minus(r)
	if err != nil {
		panic(err)
	}
	o.booked[c][agent] = rest
	if rest.IsZero() {
		delete(o.booked[c], agent)
	}
	o.forget()
}

// clients are all that exist: subscribed, or holding something.
func (o *oracle) clients() []oracleClient {
	exists := map[oracleClient]bool{}
	for id, f := range o.frameworks {
		for _, role := range f.Roles {
			exists[oracleClient{id, role}] = true
		}
	}
	for c, byAgent := range o.booked {
		if len(byAgent) > 0 {
			exists[c] = true
		}
	}
	var list []oracleClient
	for c := range exists {
		list = append(list, c)
	}
	return list
}

// forget drops the counts of clients and roles that are gone.
func (o *oracle) forget() {
	clients := o.clients()
	for c := range o.counts {
		if !slices.Contains(clients, c) {
			delete(o.counts, c)
		}
	}
	for role := range o.all {
		if !slices.ContainsFunc(clients, func(c oracleClient) bool { return c.role == role || strings.HasPrefix(c.role, role+"/") }) {
			delete(o.all, role)
			delete(o.own, role)
		}
	}
}

func (o *oracle) removeAgent(id string) {
	delete(o.agents, id)
	for _, byAgent := range o.booked {
		delete(byAgent, id)
	}
	o.dropFilters(func(f oracleFilter) bool { return f.agent == id })
	o.forget()
}

func (o *oracle) removeFramework(id string) {
	delete(o.frameworks, id)
	for c := range o.booked {
		if c.framework == id {
			delete(o.booked, c)
		}
	}
	o.dropFilters(func(f oracleFilter) bool { return f.client.framework == id })
	o.forget()
}

func (o *oracle) dropFilters(drop func(oracleFilter) bool) {
	o.filters = slices.DeleteFunc(o.filters, drop)
}

func (o *oracle) free(agent string) Resources {
	free := o.agents[agent].Total.Unallocated()
	for _, byAgent := range o.booked {
		free = free.without(byAgent[agent].Exclusive().Unallocated())
	}
	return free
}

// share is row ALC-03, without the weight.
func (o *oracle) share(matches func(oracleClient) bool) float64 {
	total, allocated := Quantities{}, Quantities{}
	for _, a := range o.agents {
		for name, amount := range a.Total.Quantities() {
			total[name] += amount
		}
	}
	shared := map[string]Resources{} // by agent, each volume once
	for c, byAgent := range o.booked {
		for agent, r := range byAgent {
			if matches(c) {
				allocated.Add(r.Exclusive().Quantities(), 1)
				shared[agent] = shared[agent].Plus(r.Shared().Unallocated()).Once()
			}
		}
	}
	for _, r := range shared {
		allocated.Add(r.Quantities(), 1)
	}
	var dominant float64
	for name, amount := range allocated {
		if total[name] > 0 && !slices.Contains(o.options.ExcludedFromShares, name) {
			dominant = max(dominant, float64(amount)/float64(total[name]))
		}
	}
	return dominant
}

func (o *oracle) wantsOffers(c oracleClient) bool {
	f, known := o.frameworks[c.framework]
	return known && f.Active && slices.Contains(f.Roles, c.role) && !slices.Contains(f.Suppressed, c.role)
}

type oracleRank struct {
	share float64
	count int
	name  string
	role  string // the role; a virtual leaf has name role/.
}

func sortRanks(ranks []oracleRank) {
	sort.Slice(ranks, func(i, j int) bool {
		a, b := ranks[i], ranks[j]
		if a.share != b.share {
			return a.share < b.share
		}
		if a.count != b.count {
			return a.count < b.count
		}
		return a.name < b.name
	})
}

// order lists the clients that want offers, first to be served first (ALC-02 to ALC-06).
func (o *oracle) order() []oracleClient { return o.orderBelow("") }

func (o *oracle) orderBelow(parent string) []oracleClient {
	children := map[string]bool{}
	var mine []oracleClient
	for _, c := range o.clients() {
		if !o.wantsOffers(c) {
			continue
		}
		if c.role == parent {
			mine = append(mine, c)
			continue
		}
		rest := c.role
		if parent != "" {
			if !strings.HasPrefix(c.role, parent+"/") {
				continue
			}
			rest = c.role[len(parent)+1:]
		}
		name, _, _ := strings.Cut(rest, "/")
		if parent != "" {
			name = parent + "/" + name
		}
		children[name] = true
	}
	var ranks []oracleRank
	for role := range children {
		share := o.share(func(c oracleClient) bool { return c.role == role || strings.HasPrefix(c.role, role+"/") })
		weight := 1.0
		if w, set := o.weights[role]; set {
			weight = w
		}
		ranks = append(ranks, oracleRank{share / weight, o.all[role], role, role})
	}
	if len(mine) > 0 {
		share := o.share(func(c oracleClient) bool { return c.role == parent })
		ranks = append(ranks, oracleRank{share, o.own[parent], parent + "/.", parent})
	}
	sortRanks(ranks)
	var out []oracleClient
	for _, r := range ranks {
		if r.role == parent {
			out = append(out, o.orderWithin(mine)...)
		} else {
			out = append(out, o.orderBelow(r.role)...)
		}
	}
	return out
}

// orderWithin sorts the clients of one role.
func (o *oracle) orderWithin(clients []oracleClient) []oracleClient {
	var ranks []oracleRank
	for _, c := range clients {
		ranks = append(ranks, oracleRank{o.share(func(other oracleClient) bool { return other == c }), o.counts[c], c.framework, c.role})
	}
	sortRanks(ranks)
	var out []oracleClient
	for _, r := range ranks {
		out = append(out, oracleClient{r.name, r.role})
	}
	return out
}

// barred is what keeps an agent from a client whatever is free (RUN-06, OFF-13).
func (o *oracle) barred(c oracleClient, agent string) bool {
	a, f := o.agents[agent], o.frameworks[c.framework]
	return a.Region != "" && a.Region != o.options.Region && !f.Capabilities.RegionAware ||
		o.options.FilterGPUs && a.Total.Scalar("gpus") > 0 && !f.Capabilities.GPUs ||
		a.LacksMultiRole && f.Capabilities.MultiRole ||
		a.LacksHierarchy && strings.Contains(c.role, "/") ||
		f.Constraints[c.role] != nil && !f.Constraints[c.role](a.Info)
}

// offerable is what the client may have of what is left (RUN-04 to RUN-06, OFF-10, OFF-12), as wire resources.
func (o *oracle) offerable(stage int, c oracleClient, agent string, left Resources) Resources {
	f := o.frameworks[c.framework]
	if o.barred(c, agent) {
		return Resources{}
	}
	var chosen []mesos.Resource
	for _, r := range left.Mesos() {
		if n := len(r.Reservations); n > 0 {
			last := r.Reservations[n-1].GetRole()
			if c.role != last && !strings.HasPrefix(c.role, last+"/") || n > 1 && !f.Capabilities.ReservationRefinement {
				continue
			}
		}
		if r.Revocable != nil && !f.Capabilities.Revocable || r.Shared != nil && !f.Capabilities.Shared {
			continue
		}
		chosen = append(chosen, r)
	}
	offer, err := Parse(chosen)
	if err != nil {
		panic(err)
	}
	if offer = o.withinQuota(stage, c, offer); offer.IsZero() {
		return offer
	}
	if held := o.booked[c][agent].Unallocated(); offer.Exclusive().IsZero() && held.Contains(offer) {
		return Resources{} // nothing but volumes that it has
	}
	minimums := o.options.MinAllocatable
	if own, overridden := f.MinAllocatable[c.role]; overridden {
		minimums = own
	}
	enough := len(minimums) == 0
	for _, minimum := range minimums {
		meets := true
		for name, amount := range minimum {
			meets = meets && offer.Quantities()[name] >= amount
		}
		enough = enough || meets
	}
	if !enough {
		return Resources{}
	}
	for _, filter := range o.filters {
		if filter.client == c && filter.agent == agent && filter.until > o.now && filter.refused.Contains(offer) {
			return Resources{}
		}
	}
	return offer
}
