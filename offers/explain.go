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
	first map[string]Grant // by agent: what the next round would grant; to this framework if it gets any of it
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
	r := &round{state: e.State}
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
