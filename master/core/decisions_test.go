package core

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	"github.com/mesos/mesos-go/api/v1/lib/quota"
	"pgregory.net/rapid"
)

// TestDecisionsOutliveTheMaster has operators decide at random while registry writes
// succeed, fail, or are cut off by a crash at any point. What was answered with 200 must
// be in force ever after, in every master to come, until another decision changes it; what
// a crash cut off may have happened or not; what is in force must be in the registry.
func TestDecisionsOutliveTheMaster(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		o := &operators{outer: t, t: r, w: newWorld(t), said: map[string]string{}, asked: map[RequestID]wish{}}
		for i := range 3 {
			o.agents = append(o.agents, o.w.drainable("cpus:4;mem:1024"))
			o.said["agent "+o.agents[i].id] = "ACTIVE"
		}
		o.w.hold = true
		info := named("f", mesos.FrameworkInfo_Capability_MULTI_ROLE)
		info.Roles = []string{"r1"}
		o.w.subscribe(info)
		r.Repeat(map[string]func(*rapid.T){
			"quota": o.quota, "schedule": o.schedule, "machine": o.machine, "agent": o.agent,
			"write": o.write, "write more": o.write, "write it": o.write, "fail": o.fail, "crash": o.crash, "settle": o.settle, "return": o.comeBack, "time": o.time, "": o.check,
		})
	})
}

// operators decide, and remember what they were told.
type operators struct {
	outer  *testing.T
	t      *rapid.T
	w      *world
	agents []*testAgent
	said   map[string]string // what holds, by "role r1", "machine host1", "agent m-S0"
	asked  map[RequestID]wish
}

// wish is what a request asks for: values by object.
type wish map[string]string

func (o *operators) ask(wants wish, event func(RequestID) Event) {
	o.w.request++
	o.asked[o.w.request] = wants
	o.w.step(event(o.w.request))
	o.hear()
}

// hear takes in the replies that came.
func (o *operators) hear() {
	for _, id := range slices.Sorted(maps.Keys(o.w.replies)) {
		if o.w.replies[id].Status == 200 {
			for object, value := range o.asked[id] {
				got := inForce(o.w.registry, object)
				if !follows(value, got) {
					o.t.Fatalf("answered 200, but %s is %q in the registry, not %q", object, got, value)
				}
				o.said[object] = got
			}
		}
		delete(o.asked, id)
	}
	o.w.replies = map[RequestID]Reply{}
}

// follows says whether an object may have come from one value to another by itself.
func follows(from, to string) bool {
	return from == to || to == "REMOVED" || from == "REMOVED" && to == "ACTIVE" || // its machine went down, and up
		from == "DRAINING" && (to == "DRAINED" || to == "DOWN") // an agent that has drained; a schedule leaves machines down
}

// inForce is the value of an object in a registry.
func inForce(reg *Registry, object string) string {
	var kind, name string
	if _, err := fmt.Sscan(object, &kind, &name); err != nil {
		panic(err)
	}
	switch kind {
	case "role":
		q, there := reg.Quotas[name]
		if !there {
			return ""
		}
		return fmt.Sprint(q.Limits["cpus"].Value)
	case "machine":
		for m, info := range reg.Machines {
			if m.Hostname == name {
				return info.GetMode().String()
			}
		}
		return "UP"
	default:
		if _, gone := reg.Gone[name]; gone {
			return "GONE"
		}
		if d, ok := reg.Drains[name]; ok {
			return d.State.String()
		}
		if reg.Deactivated[name] {
			return "DEACTIVATED"
		}
		_, admitted := reg.Admitted[name]
		if _, unreachable := reg.Unreachable[name]; !admitted && !unreachable {
			return "REMOVED"
		}
		return "ACTIVE"
	}
}

func (o *operators) quota(r *rapid.T) {
	role, cpus := rapid.SampledFrom([]string{"r1", "r2"}).Draw(r, "role"), float64(rapid.IntRange(0, 3).Draw(r, "cpus"))
	c, wants := config(role, nil, amounts("cpus", cpus)), fmt.Sprint(cpus)
	if cpus == 0 {
		c, wants = config(role, nil, nil), ""
	}
	o.ask(wish{"role " + role: wants}, func(id RequestID) Event {
		return QuotaUpdated{Request: id, Configs: []quota.QuotaConfig{c}, Force: true}
	})
}

func (o *operators) schedule(r *rapid.T) {
	var windows []maintenance.Window
	wants := wish{}
	for _, a := range o.agents {
		object := "machine " + a.info.Hostname
		wants[object] = "UP"
		if rapid.Bool().Draw(r, "scheduled") {
			windows = append(windows, window(int64(rapid.IntRange(1, 2).Draw(r, "start")), its(a)))
			wants[object] = "DRAINING"
		}
	}
	o.ask(wants, func(id RequestID) Event { return ScheduleWanted{Request: id, Windows: windows} })
}

func (o *operators) machine(r *rapid.T) {
	a, _ := pick(r, o.agents)
	list := []mesos.MachineID{its(a)}
	if rapid.Bool().Draw(r, "down") {
		o.ask(wish{"machine " + a.info.Hostname: "DOWN"}, func(id RequestID) Event { return MachinesDownWanted{Request: id, Machines: list} })
	} else {
		o.ask(wish{"machine " + a.info.Hostname: "UP"}, func(id RequestID) Event { return MachinesUpWanted{Request: id, Machines: list} })
	}
}

func (o *operators) agent(r *rapid.T) {
	a, _ := pick(r, o.agents)
	object := "agent " + a.id
	no := false
	switch rapid.SampledFrom([]string{"drain", "drain", "deactivate", "reactivate", "reactivate", "gone"}).Draw(r, "what") {
	case "drain":
		o.ask(wish{object: "DRAINING"}, func(id RequestID) Event {
			return DrainWanted{Request: id, Agent: a.id, Config: mesos.DrainConfig{MarkGone: &no}}
		})
	case "deactivate":
		if s := o.said[object]; s == "ACTIVE" && len(o.w.held) == 0 { // of one that drains it changes nothing
			o.ask(wish{object: "DEACTIVATED"}, func(id RequestID) Event { return DeactivationWanted{Request: id, Agent: a.id} })
		}
	case "reactivate":
		o.ask(wish{object: "ACTIVE"}, func(id RequestID) Event { return ReactivationWanted{Request: id, Agent: a.id} })
	default:
		if rapid.IntRange(0, 4).Draw(r, "rarely") == 0 {
			o.ask(wish{object: "GONE"}, func(id RequestID) Event { return GoneWanted{Request: id, Agent: a.id} })
		}
	}
}

func (o *operators) write(*rapid.T) {
	if len(o.w.held) > 0 {
		o.w.written(nil)
		o.hear()
	}
}

func (o *operators) fail(*rapid.T) {
	if len(o.w.held) > 0 {
		o.w.written(errors.New("no quorum"))
		o.hear()
	}
}

// settle writes all there is to write: then nobody waits for an answer.
func (o *operators) settle(r *rapid.T) {
	for len(o.w.held) > 0 {
		o.write(r)
	}
	if len(o.asked) > 0 {
		o.t.Fatalf("never answered: %v", o.asked)
	}
}

// crash ends the master. Of what it wrote last some may be stored without its having heard of it.
func (o *operators) crash(r *rapid.T) {
	stored := rapid.IntRange(0, len(o.w.held)).Draw(r, "stored")
	for _, c := range o.w.held[:stored] {
		o.w.registry.Apply(c)
	}
	open := map[string]bool{}
	for _, wants := range o.asked {
		for object := range wants {
			open[object] = true
		}
	}
	request := o.w.request
	o.w = restart(o.outer, o.w.registry)
	o.w.request, o.w.hold = request, true
	o.asked = map[RequestID]wish{}
	for object, value := range o.said {
		got := inForce(o.w.registry, object)
		if !open[object] && !follows(value, got) {
			o.t.Fatalf("%s was %q, and is %q after a crash", object, value, got)
		}
		o.said[object] = got
	}
}

// comeBack has an agent register with the present master.
func (o *operators) comeBack(r *rapid.T) {
	a, _ := pick(r, o.agents)
	a.back(o.w, nil)
	o.hear()
}

func (o *operators) time(r *rapid.T) {
	o.w.pass(time.Duration(rapid.IntRange(1, 100).Draw(r, "seconds"))*time.Second, o.agents[0].pid, o.agents[1].pid)
	o.hear()
}

// check compares what is in force with what is stored and with what operators were told.
func (o *operators) check(*rapid.T) {
	s, reg := o.w.s, o.w.registry
	for _, a := range o.agents { // it may come back later, and then nothing is left of what was decided
		if object := "agent " + a.id; inForce(reg, object) == "REMOVED" {
			o.said[object] = "REMOVED"
		}
	}
	if !reflect.DeepEqual(s.reg, reg) {
		o.t.Fatalf("the master goes by another registry than there is:\n%+v\n%+v", s.reg, reg)
	}
	for _, f := range s.offers {
		if reg.Deactivated[f.agent.id] || s.down(f.agent.machine()) || !f.agent.connected {
			o.t.Fatalf("agent %s is offered", f.agent.id)
		}
	}
	for role, q := range reg.Quotas {
		if kept, ok := s.ledger.Quota(role); !ok || kept.Limits["cpus"].Float() != q.Limits["cpus"].Value {
			o.t.Fatalf("the quota of %s is not kept: %v", role, kept)
		}
	}
	for id, a := range s.agents {
		_, scheduled := reg.Machines[a.machine()]
		if _, gone := reg.Gone[id]; gone || scheduled != (a.upkeep != nil) || s.upkeeps[id] != scheduled {
			o.t.Fatalf("agent %s: gone %t, scheduled %t, upkeep %v", id, gone, scheduled, a.upkeep)
		}
	}
	if !s.decisions.writing && len(s.decisions.waiting) > 0 {
		o.t.Fatal("decisions wait for nothing")
	}
	for id := range s.unsettled {
		if _, busy := s.busyAgent[id]; !busy {
			o.t.Fatalf("decisions about agent %s wait for nothing", id)
		}
	}
}
