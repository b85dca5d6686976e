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
	WhyNothingFree    Why = "nothing-free"     // everything on the agent is booked
	WhyReserved       Why = "reserved"         // what is free is reserved for other roles
	WhyCapability     Why = "capability"       // what is free needs capabilities that the framework lacks
	WhyRegion         Why = "region"           // the agent is in another region
	WhyGPUs           Why = "gpus"             // the agent has gpus
	WhyAgentMultiRole Why = "agent-multi-role" // the agent lacks MULTI_ROLE
	WhyAgentHierarchy Why = "agent-hierarchy"  // the agent lacks HIERARCHICAL_ROLE
	WhyTooLittle      Why = "too-little"       // less than the minimum allocatable is free
	WhyRefused        Why = "refused"          // the framework refused it, for a time that has not ended
	WhyBehind         Why = "behind"           // somebody else is entitled first
	WhyNext           Why = "next"             // it will be offered in the next round
)

// Reason says why a framework is offered nothing of an agent (Agent empty: of any) in a role (Role empty: in any).
type Reason struct {
	Role, Agent string
	Why         Why
	Sentence    string // complete, for people
}

// Place is where a framework stands in a role, and the role among its siblings.
type Place struct {
	Role      string
	Share     float64 // the role's dominant share
	Weight    float64
	RoleFirst string // the role that is served first now, of all; "" if no one wants offers
	Framework string // the framework that is served first in this role; "" if none in it wants offers
	Sentence  string
}

// Explanation is the answer to Explain.
type Explanation struct {
	Framework string
	Places    []Place  // one per subscribed role
	Reasons   []Reason // general ones first, then per role and agent, by name
}

// Explain says why the framework is offered nothing, per role and agent, and who goes first. It asks the very rules that
// Allocate follows, changes nothing, and costs about a round.
func (s *State) Explain(id string) Explanation {
	e := &explainer{State: s, out: Explanation{Framework: id}}
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
	e.order = newOrder(s)
	e.first = map[string]Grant{}
	for _, g := range s.Allocate(0).Grants {
		if _, known := e.first[g.Agent]; !known || g.Framework == id {
			e.first[g.Agent] = g
		}
	}
	for _, path := range sortedKeys(f.clients) {
		if c := f.clients[path]; c.subscribed {
			e.role(c)
		}
	}
	return e.out
}

// Sentences is the explanation in sum: the general reasons and places, then one sentence per kind of reason with the number
// of agents and an example.
func (e Explanation) Sentences() []string {
	var out []string
	type group struct {
		role string
		why  Why
	}
	count := map[group]int{}
	for _, r := range e.Reasons {
		count[group{r.Role, r.Why}]++
	}
	for _, p := range e.Places {
		out = append(out, p.Sentence)
	}
	for _, r := range e.Reasons {
		key := group{r.Role, r.Why}
		n := count[key]
		if n == 0 {
			continue
		}
		count[key] = 0
		sentence := r.Sentence
		if n > 1 {
			sentence += fmt.Sprintf(" The same (%s) holds for %d more.", r.Why, n-1)
		}
		out = append(out, sentence)
	}
	return out
}

// explainer gathers one explanation.
type explainer struct {
	*State
	order *order
	first map[string]Grant // by agent: what the next round would grant; to this framework if it gets any of it
	out   Explanation
}

func (e *explainer) say(r Reason) { e.out.Reasons = append(e.out.Reasons, r) }

func (e *explainer) role(c *client) {
	path := c.role.path
	e.out.Places = append(e.out.Places, e.place(c))
	if c.suppressed {
		e.say(Reason{Role: path, Why: WhySuppressed, Sentence: fmt.Sprintf(
			"Role %q: the framework has suppressed offers; it must REVIVE to get any.", path)})
		return
	}
	if !c.framework.Active {
		return
	}
	r := &round{state: e.State}
	for _, id := range sortedKeys(e.agents) {
		a := e.agents[id]
		why, because := e.because(r, c, a)
		e.say(Reason{Role: path, Agent: id, Why: why, Sentence: fmt.Sprintf("Role %q, agent %s: %s.", path, id, because)})
	}
}

// place says where the client's role and the client stand by DRF.
func (e *explainer) place(c *client) Place {
	p := Place{Role: c.role.path, Share: e.kinds.share(c.role.all, e.total), Weight: e.weightOf(c.role.path)}
	top := e.order.root
	for len(top.below) > 0 {
		top = top.below[0]
	}
	if len(top.clients) > 0 {
		p.RoleFirst = e.clients[top.clients[0]].role.path
	}
	var mine []int32
	for i, other := range e.clients {
		if other != nil && other.role == c.role && e.open.has(i) {
			mine = e.order.seats[i].leaf.clients
			break
		}
	}
	at := slices.Index(mine, int32(c.index))
	if len(mine) > 0 {
		p.Framework = e.clients[mine[0]].framework.ID
	}
	p.Sentence = fmt.Sprintf("Role %q has a dominant share of %.1f %% (weight %g)", p.Role, 100*p.Share, p.Weight)
	if p.RoleFirst != "" {
		p.Sentence += fmt.Sprintf("; role %q is served first", p.RoleFirst)
	}
	if at >= 0 {
		p.Sentence += fmt.Sprintf("; the framework is number %d of %d in its role", at+1, len(mine))
	}
	p.Sentence += "."
	return p
}

// because is the reason for one agent, as the end of a sentence.
func (e *explainer) because(r *round, c *client, a *agent) (Why, string) {
	if !a.Active {
		return WhyDeactivated, "it is disconnected, deactivated or draining"
	}
	r.taken, r.left = make([]bool, len(a.free.entries)), len(a.free.entries)
	v := r.consider(c, a)
	switch v.why {
	case "":
		return e.ahead(c, a)
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
	case WhyTooLittle:
		return v.why, fmt.Sprintf("what is free (%s) is less than the minimum that is offered; %s", r.selection(a), a.holders())
	default:
		until := time.Unix(0, v.refusal.until).UTC().Format(time.RFC3339)
		return v.why, fmt.Sprintf("the framework refused %s until %s, and no more than that is free (%s)", v.refusal.resources, until, r.selection(a))
	}
}

// ahead says who gets what the client might have.
func (e *explainer) ahead(c *client, a *agent) (Why, string) {
	g, granted := e.first[a.ID]
	if !granted || g.Framework == c.framework.ID && g.Role == c.role.path {
		return WhyNext, fmt.Sprintf("%s is free and will be offered to it in the next round", a.free)
	}
	return WhyBehind, fmt.Sprintf("%s is free, but framework %s in role %q is entitled first", a.free, g.Framework, g.Role)
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
