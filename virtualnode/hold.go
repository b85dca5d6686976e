package virtualnode

import (
	"sort"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Waiting is a pod that is bound to a node and has no task yet.
type Waiting struct {
	UID      string
	Agent    string // agent id
	Needs    Amounts
	Ports    []uint64 // host ports that are resources of the agent
	Priority int32
	Since    time.Time
}

// Offer is one offer that the bridge holds.
type Offer struct {
	ID        string
	Agent     string
	Resources []mesos.Resource
}

// Holding is what the decision about offers is made from.
type Holding struct {
	Waiting []Waiting
	Offers  []Offer
	// Executor is what the pod executor takes on an agent where it does not run yet; see Runs.
	Executor Amounts
	// Runs names the agents on which the executor runs or has been asked for.
	Runs map[string]bool
	// Barred names the agents to which nothing new goes (draining); their offers are given back.
	Barred map[string]bool
	// Headroom is how much to hold in all for pods to come.
	Headroom Amounts
}

// Placement is one pod on its offer's resources.
type Placement struct {
	UID   string
	Taken []mesos.Resource
}

// Accept launches several pods of one agent on all offers held of it, in one call.
type Accept struct {
	Agent  string
	Offers []string
	Pods   []Placement
	// More is true if other pods wait for this agent: what is left must be offered again at once.
	More bool
}

// Plan is what to do with the offers held. Offers that it names in neither list stay held.
type Plan struct {
	Accepts  []Accept
	Declines []string
	// Wanting is true if more offers are needed: pods wait that nothing held fits, or headroom is missing. The bridge then
	// revives, else it suppresses.
	Wanting bool
	// Short tells, by pod UID, what is held for each pod that still waits.
	Short map[string]Shortage
}

// Shortage is what is there for a pod that waits.
type Shortage struct {
	Held Amounts
	// Ports are the host ports that are not among what is held.
	Ports []uint64
}

// Decide says which waiting pods go on which offers, what to keep and what to give back (design D7). Pods of higher priority
// go first, then those that wait longest; a large pod that does not fit does not hold up a small one behind it.
func Decide(h Holding) Plan {
	plan := Plan{Short: map[string]Shortage{}}
	held := map[string][]Offer{}
	for _, o := range h.Offers {
		held[o.Agent] = append(held[o.Agent], o)
	}
	waiting := map[string][]Waiting{}
	for _, w := range h.Waiting {
		waiting[w.Agent] = append(waiting[w.Agent], w)
	}
	var spare []string // agents whose offers nobody waits for
	for _, agent := range sortedKeys(held) {
		switch {
		case h.Barred[agent]:
			plan.decline(held[agent])
			plan.short(waiting[agent], Amounts{})
		case len(waiting[agent]) > 0:
			plan.place(h, agent, held[agent], waiting[agent])
		default:
			spare = append(spare, agent)
		}
	}
	for _, agent := range sortedKeys(waiting) {
		if len(held[agent]) == 0 {
			plan.short(waiting[agent], Amounts{})
		}
	}
	plan.headroom(h, spare, held)
	return plan
}

// place puts the agent's pods on its offers. If none fits, the offers stay held: what comes free on the agent is offered
// separately and adds up.
func (p *Plan) place(h Holding, agent string, offers []Offer, pods []Waiting) {
	sort.SliceStable(pods, func(i, j int) bool {
		if pods[i].Priority != pods[j].Priority {
			return pods[i].Priority > pods[j].Priority
		}
		return pods[i].Since.Before(pods[j].Since)
	})
	var rest []mesos.Resource
	accept := Accept{Agent: agent}
	for _, o := range offers {
		rest = append(rest, o.Resources...)
		accept.Offers = append(accept.Offers, o.ID)
	}
	available := Of(rest)
	if !h.Runs[agent] {
		_, left, ok := Carve(rest, h.Executor)
		if !ok {
			p.short(pods, available.Minus(h.Executor).Floor())
			return
		}
		rest = left
	}
	var unplaced []Waiting
	for _, w := range pods {
		taken, left, ok := Carve(rest, w.Needs)
		ports, left, missing := CarvePorts(left, w.Ports)
		if !ok || len(missing) > 0 {
			unplaced = append(unplaced, w)
			continue
		}
		taken, rest = append(taken, ports...), left
		accept.Pods = append(accept.Pods, Placement{UID: w.UID, Taken: taken})
	}
	p.short(unplaced, Of(rest))
	for _, w := range unplaced {
		_, _, missing := CarvePorts(rest, w.Ports)
		p.Short[w.UID] = Shortage{Held: Of(rest), Ports: missing}
	}
	if len(accept.Pods) > 0 {
		accept.More = len(unplaced) > 0
		p.Accepts = append(p.Accepts, accept)
	}
}

func (p *Plan) short(pods []Waiting, available Amounts) {
	for _, w := range pods {
		p.Short[w.UID] = Shortage{Held: available}
		p.Wanting = true
	}
}

func (p *Plan) decline(offers []Offer) {
	for _, o := range offers {
		p.Declines = append(p.Declines, o.ID)
	}
}

// headroom keeps the smallest spare offers that cover the headroom and gives the others back.
func (p *Plan) headroom(h Holding, spare []string, held map[string][]Offer) {
	amounts := map[string]Amounts{}
	for _, agent := range spare {
		for _, o := range held[agent] {
			amounts[agent] = amounts[agent].Plus(Of(o.Resources))
		}
	}
	sort.SliceStable(spare, func(i, j int) bool {
		a, b := amounts[spare[i]], amounts[spare[j]]
		if a.CPU != b.CPU {
			return a.CPU < b.CPU
		}
		return a.Memory < b.Memory
	})
	var kept Amounts
	for _, agent := range spare {
		if h.Headroom.FitsIn(kept) {
			p.decline(held[agent])
			continue
		}
		kept = kept.Plus(amounts[agent])
	}
	if !h.Headroom.FitsIn(kept) {
		p.Wanting = true
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
