package offers

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Why is the kind of a reason, for programs.
type Why string

// The reasons why a framework is offered nothing.
const (
	WhyUnknown        Why = "unknown"          // no such framework
	WhyInactive       Why = "inactive"         // the framework is disconnected or deactivated
	WhyNoRole         Why = "no-role"          // it is subscribed to no role
	WhySuppressed     Why = "suppressed"       // it asked for no offers in the role
	WhyNoAgent        Why = "no-agent"         // there is no agent at all
	WhyDeactivated    Why = "agent-inactive"   // the agent is disconnected, deactivated or draining
	WhyWhitelist      Why = "whitelist"        // the agent's host is not on the whitelist
	WhyNothingFree    Why = "nothing-free"     // everything on the agent is booked
	WhyReserved       Why = "reserved"         // what is free is reserved for other roles
	WhyCapability     Why = "capability"       // what is free needs capabilities that the framework lacks
	WhyRegion         Why = "region"           // the agent is in another region
	WhyGPUs           Why = "gpus"             // the agent has gpus
	WhyAgentMultiRole Why = "agent-multi-role" // the agent lacks MULTI_ROLE
	WhyAgentHierarchy Why = "agent-hierarchy"  // the agent lacks HIERARCHICAL_ROLE
	WhyConstraint     Why = "constraint"       // the framework's offer constraints exclude the agent
	WhyLimit          Why = "limit"            // the limit of the role's quota leaves too little
	WhyHeadroom       Why = "headroom"         // what is free is held back for guarantees of other roles
	WhyQuota          Why = "quota"            // limit or headroom leave nothing
	WhyNoProgress     Why = "no-progress"      // it would not help a guarantee; only asked while guarantees go first
	WhyShared         Why = "shared"           // nothing is free but shared volumes that the framework holds already
	WhyTooLittle      Why = "too-little"       // less than the minimum allocatable is free
	WhyRefused        Why = "refused"          // the framework refused it, for a time that has not ended
	WhyBehind         Why = "behind"           // somebody else is entitled first
	WhyNext           Why = "next"             // it will be offered in the next round
	WhyStanding       Why = "standing"         // no reason by itself: where role and framework stand by DRF
)

// Reason says why a framework is offered nothing of an agent (Agent empty: of any) in a role (Role empty: in any).
type Reason struct {
	Role, Agent string
	Why         Why
	Sentence    string // complete, for people
}

// Explain says why the framework is offered nothing: general reasons first, then per role where it stands by DRF and who
// goes first, then one reason per agent, by name. It asks the very rules that Allocate follows, changes nothing, and costs
// about a round. Summarize makes it short.
func (s *State) Explain(id string) []Reason {
	e := &explainer{State: s}
	f := s.frameworks[id]
	switch {
	case f == nil || !f.known:
		e.say(Reason{Why: WhyUnknown, Sentence: fmt.Sprintf("Framework %s is not subscribed.", id)})
		return e.out
	case !f.Active:
		e.say(Reason{Why: WhyInactive, Sentence: fmt.Sprintf("Framework %s is disconnected or deactivated.", id)})
	case len(f.Roles) == 0:
		e.say(Reason{Why: WhyNoRole, Sentence: fmt.Sprintf("Framework %s is subscribed to no role.", id)})
	case len(s.agents) == 0:
		e.say(Reason{Why: WhyNoAgent, Sentence: "There is no agent."})
	}
	e.order = newOrder(s, 0)
	e.first, e.next = map[string]Grant{}, map[string]bool{}
	for _, g := range s.Allocate(0).Grants {
		if _, known := e.first[g.Agent]; !known {
			e.first[g.Agent] = g
		}
		if g.Framework == id {
			e.next[g.Role+" "+g.Agent] = true
		}
	}
	for _, path := range sortedKeys(f.clients) {
		if c := f.clients[path]; c.subscribed {
			e.role(c)
		}
	}
	return e.out
}

// Summarize shortens what Explain says: one sentence per role and kind of reason, with an example and the number of others.
func Summarize(reasons []Reason) []string {
	type group struct {
		role string
		why  Why
	}
	count := map[group]int{}
	for _, r := range reasons {
		count[group{r.Role, r.Why}]++
	}
	var out []string
	for _, r := range reasons {
		key := group{r.Role, r.Why}
		n := count[key]
		if n == 0 {
			continue
		}
		count[key] = 0
		sentence := r.Sentence
		if n > 1 {
			sentence += fmt.Sprintf(" The same (%s) holds for %d more agents.", r.Why, n-1)
		}
		out = append(out, sentence)
	}
	return out
}

// explainer gathers one explanation.
type explainer struct {
	*State
	order *order
	first map[string]Grant // by agent: what the next round would grant before all else
	next  map[string]bool  // "role agent": the next round would grant the framework something
	out   []Reason
}

func (e *explainer) say(r Reason) { e.out = append(e.out, r) }

func (e *explainer) role(c *client) {
	path := c.role.path
	e.say(Reason{Role: path, Why: WhyStanding, Sentence: e.standing(c)})
	if c.suppressed {
		e.say(Reason{Role: path, Why: WhySuppressed, Sentence: fmt.Sprintf(
			"Role %q: the framework has suppressed offers; it must REVIVE to get any.", path)})
		return
	}
	if !c.framework.Active {
		return
	}
	r := &round{state: e.State, budget: newBudget(e.State), stage: theRest}
	for _, id := range sortedKeys(e.agents) {
		a := e.agents[id]
		why, because := e.because(r, c, a)
		e.say(Reason{Role: path, Agent: id, Why: why, Sentence: fmt.Sprintf("Role %q, agent %s: %s.", path, id, because)})
	}
}

// standing says where the client's role and the client stand by DRF.
func (e *explainer) standing(c *client) string {
	sentence := fmt.Sprintf("Role %q has a dominant share of %.1f %% (weight %g)", c.role.path,
		100*e.kinds.share(c.role.all, e.total), e.weightOf(c.role.path))
	if q, has := e.Quota(c.role.top.path); has {
		sentence += fmt.Sprintf("; role %q has a quota (%s)", c.role.top.path, e.quotaText(c.role.top, q))
	}
	if e.options.RoleSorter == Random {
		return sentence + "; roles are served in random order."
	}
	top := e.order.root
	for len(top.below) > 0 {
		top = top.below[0]
	}
	if len(top.clients) == 0 {
		return sentence + "; nobody takes offers."
	}
	sentence += fmt.Sprintf("; role %q is served first", e.clients[top.clients[0]].role.path)
	if leaf := e.order.seats[c.index].leaf; leaf != nil {
		sentence += fmt.Sprintf("; the framework is number %d of %d in its role",
			slices.Index(leaf.clients, int32(c.index))+1, len(leaf.clients))
	}
	return sentence + "."
}

// because is the reason for one agent, as the end of a sentence.
func (e *explainer) because(r *round, c *client, a *agent) (Why, string) {
	switch {
	case !a.Active:
		return WhyDeactivated, "it is disconnected, deactivated or draining"
	case !a.offered:
		return WhyWhitelist, fmt.Sprintf("its host %q is not on the whitelist", a.info().Hostname)
	case e.next[c.role.path+" "+a.ID]:
		return WhyNext, fmt.Sprintf("%s is free and will be offered to it in the next round", a.free)
	}
	r.face(a, nil)
	v := r.consider(c, a)
	if v.cut && (v.why == WhyQuota || v.why == WhyTooLittle) {
		return e.held(r, c, a)
	}
	switch v.why {
	case "":
		g, granted := e.first[a.ID]
		if !granted {
			return WhyBehind, fmt.Sprintf("%s is free, but all that quotas leave will be offered on other agents", a.free)
		}
		return WhyBehind, fmt.Sprintf("%s is free, but framework %s in role %q is entitled first", a.free, g.Framework, g.Role)
	case WhyNothingFree:
		return v.why, "nothing is free; " + a.holders()
	case WhyReserved:
		return v.why, fmt.Sprintf("what is free (%s) is reserved for other roles", a.free)
	case WhyCapability:
		return v.why, fmt.Sprintf("what is free (%s) needs the capability REVOCABLE_RESOURCES, SHARED_RESOURCES or RESERVATION_REFINEMENT, which the framework lacks", a.free)
	case WhyRegion:
		return v.why, fmt.Sprintf("it is in region %q and the framework lacks REGION_AWARE", a.Region)
	case WhyGPUs:
		return v.why, "it has gpus and the framework lacks GPU_RESOURCES"
	case WhyAgentMultiRole:
		return v.why, "the agent lacks MULTI_ROLE, which the framework has"
	case WhyAgentHierarchy:
		return v.why, "the agent lacks HIERARCHICAL_ROLE"
	case WhyConstraint:
		return v.why, "the framework's offer constraints for the role exclude it"
	case WhyShared:
		return v.why, fmt.Sprintf("nothing is free but shared volumes that the framework holds already (%s)", r.bundle(a))
	case WhyTooLittle:
		return v.why, fmt.Sprintf("what is free (%s) is less than the minimum that is offered; %s", r.bundle(a), a.holders())
	default:
		until := time.Unix(0, v.refused.until(c.index)).UTC().Format(time.RFC3339)
		return v.why, fmt.Sprintf("the framework refused %s until %s, and no more than that may be offered (%s)", v.refused.resources, until, r.bundle(a))
	}
}

// held says whether limit or headroom keep an agent's resources from a client.
func (e *explainer) held(r *round, c *client, a *agent) (Why, string) {
	al := r.budget.of(c.role)
	for i := range a.free.entries {
		en := &a.free.entries[i]
		id := en.id.Value()
		if en.scalar == 0 || !en.countsTowardQuota() {
			continue
		}
		if kind := e.kinds.of(id.name); al.below(kind) < en.scalar {
			return WhyLimit, fmt.Sprintf("%s is free, but role %q may have no more than %s %s, and has %s",
				a.free, c.role.top.path, al.top.quota.limit[kind], id.name, al.consumed[kind])
		}
	}
	return WhyHeadroom, fmt.Sprintf("%s is free, but held back for guarantees of other roles that are not met (%s of %s spare)",
		a.free, e.kinds.quantities(r.budget.required), e.kinds.quantities(r.budget.spare))
}

// quotaText is a role's quota and what it has of it.
func (e *explainer) quotaText(r *role, q Quota) string {
	var parts []string
	consumed := e.kinds.quantities(r.consumed())
	for name := range e.kinds.index {
		guarantee, guaranteed := q.Guarantees[name]
		limit, limited := q.Limits[name]
		if !guaranteed && !limited {
			continue
		}
		part := fmt.Sprintf("%s %s", consumed[name], name)
		if guaranteed {
			part += fmt.Sprintf(" of %s guaranteed", guarantee)
		}
		if limited {
			part += fmt.Sprintf(" of at most %s", limit)
		}
		parts = append(parts, part)
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// holders says who holds the most of the agent.
func (a *agent) holders() string {
	if len(a.held) == 0 {
		return "nobody holds anything of it"
	}
	const most = 3
	held := slices.Clone(a.held)
	slices.SortFunc(held, func(x, y holding) int {
		if d := y.resources.Scalar("cpus") - x.resources.Scalar("cpus"); d != 0 {
			return int(d)
		}
		return compareStrings(x.client.framework.ID, y.client.framework.ID)
	})
	var parts []string
	for _, h := range held[:min(most, len(held))] {
		parts = append(parts, fmt.Sprintf("framework %s holds %s", h.client.framework.ID, h.resources))
	}
	if len(held) > most {
		parts = append(parts, fmt.Sprintf("%d more hold the rest", len(held)-most))
	}
	return strings.Join(parts, ", ")
}
