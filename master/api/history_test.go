package api

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/constraints"
	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
)

// history is the core of a master to which random things happen; its registry always
// succeeds, and agents do what a random draw says.
type history struct {
	r       *rapid.T
	s       *core.State
	now     time.Time
	request core.RequestID
	agents  []string // pids
	ids     map[string]string
	streams []core.StreamID
	names   map[core.StreamID]*mesos.FrameworkID
	offers  map[core.StreamID][]mesos.Offer
	tasks   []launched
	count   int
}

// launched is a task that was sent to an agent.
type launched struct {
	framework mesos.FrameworkID
	agent     mesos.AgentID
	pid       string
	task      mesos.TaskID
}

func newHistory(r *rapid.T) *history {
	pid, port := "master@127.0.0.1:5050", uint32(5050)
	h := &history{r: r, now: time.Unix(1_700_000_000, 0), ids: map[string]string{}, names: map[core.StreamID]*mesos.FrameworkID{}, offers: map[core.StreamID][]mesos.Offer{}}
	h.s = core.New(core.Config{
		Master:             mesos.MasterInfo{ID: "m", PID: &pid, Port: &port},
		AllocationInterval: time.Second, AgentPingTimeout: 15 * time.Second, MaxAgentPingTimeouts: 5, AgentReregisterTimeout: 10 * time.Minute,
		RootSubmissions: true, FilterGPUs: true, MinAllocatable: offers.DefaultMinAllocatable(),
		MaxCompletedFrameworks: 2, MaxCompletedTasks: 5, MaxUnreachableTasks: 3,
		RegistryMaxAge: 14 * 24 * time.Hour, RegistryMaxCount: 1000, RegistryGCInterval: 15 * time.Minute, ConstraintLimits: constraints.DefaultLimits,
	}, core.NewRegistry(), h.now)
	return h
}

func (h *history) step(e core.Event) {
	h.take(h.s.Step(h.now, e))
	for !h.s.Deadline().After(h.now) {
		h.take(h.s.Step(h.now, core.Ticked{}))
	}
}

func (h *history) take(effects []core.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case core.WriteRegistry:
			h.take(h.s.Step(h.now, core.RegistryWritten{Change: e.Change}))
		case core.SendEvent:
			switch e.Event.Type {
			case scheduler.Event_SUBSCRIBED:
				h.names[e.Stream] = e.Event.Subscribed.FrameworkID
			case scheduler.Event_OFFERS:
				h.offers[e.Stream] = append(h.offers[e.Stream], e.Event.Offers.Offers...)
			}
		case core.SendAgent:
			h.sent(e)
		}
	}
}

func (h *history) sent(e core.SendAgent) {
	switch m := e.Message.(type) {
	case *messages.SlaveRegisteredMessage:
		h.ids[e.PID] = m.AgentID.Value
	case *messages.RunTaskMessage:
		h.tasks = append(h.tasks, launched{*m.Framework.ID, m.Task.AgentID, e.PID, m.Task.TaskID})
	}
}

func one[T any](r *rapid.T, list []T) (T, bool) {
	var none T
	if len(list) == 0 {
		return none, false
	}
	return list[rapid.IntRange(0, len(list)-1).Draw(r, "which")], true
}

func (h *history) register(r *rapid.T) {
	if len(h.agents) == 6 {
		return
	}
	pid, version := fmt.Sprintf("slave(1)@127.0.0.%d:5051", len(h.agents)+1), "1.11.0"
	h.agents = append(h.agents, pid)
	total, err := offers.ParseText("cpus:4;mem:1024;disk:100;ports:[31000-31009];cpus(eng):1", "*")
	if err != nil {
		r.Fatal(err)
	}
	attributes, err := offers.ParseAttributes("rack:r1;level:2;range:[1-3]")
	if err != nil {
		r.Fatal(err)
	}
	h.step(core.AgentMessaged{From: pid, Message: &messages.RegisterSlaveMessage{
		Agent: mesos.AgentInfo{Hostname: "host \"<&>\" \x01é", Resources: total.Mesos(), Attributes: attributes}, Version: &version,
		AgentCapabilities: []mesos.AgentInfo_Capability{{Type: mesos.AgentInfo_Capability_MULTI_ROLE}, {Type: mesos.AgentInfo_Capability_RESERVATION_REFINEMENT}},
	}})
}

func (h *history) subscribe(r *rapid.T) {
	if len(h.streams) == 5 {
		return
	}
	stream := core.StreamID(fmt.Sprintf("stream-%d", len(h.streams)))
	h.streams = append(h.streams, stream)
	timeout, key := 100.0, "v"
	info := &mesos.FrameworkInfo{
		User: "root", Name: string(stream), FailoverTimeout: &timeout, Roles: []string{rapid.SampledFrom([]string{"eng", "ads", "ads/x"}).Draw(r, "role")},
		Labels:       &mesos.Labels{Labels: []mesos.Label{{Key: "k", Value: &key}}},
		Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}, {Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE}},
	}
	h.step(core.SchedulerSubscribed{Stream: stream, Call: &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: info}}})
}

func (h *history) call(stream core.StreamID, c *scheduler.Call) {
	h.request++
	c.FrameworkID = h.names[stream]
	h.step(core.SchedulerCalled{Request: h.request, Stream: stream, Call: c})
}

func (h *history) launch(r *rapid.T) {
	stream, ok := one(r, h.streams)
	if !ok {
		return
	}
	o, ok := one(r, h.offers[stream])
	if !ok {
		return
	}
	refuse := 0.0
	var tasks []mesos.TaskInfo
	for range rapid.IntRange(0, 4).Draw(r, "tasks") {
		h.count++
		id, value, role := fmt.Sprintf("t%d", h.count), "sleep", o.GetAllocationInfo().GetRole()
		scalar := func(name string, amount float64) mesos.Resource {
			return mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: amount}, AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role}}
		}
		t := mesos.TaskInfo{Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: o.AgentID, Resources: []mesos.Resource{scalar("cpus", 0.2), scalar("mem", 32)}}
		if rapid.Bool().Draw(r, "custom executor") {
			t.Executor = &mesos.ExecutorInfo{ExecutorID: mesos.ExecutorID{Value: "e"}, Command: &mesos.CommandInfo{Value: &value}, Resources: []mesos.Resource{scalar("cpus", 0.1), scalar("mem", 32)}}
		} else {
			t.Command = &mesos.CommandInfo{Value: &value}
		}
		tasks = append(tasks, t)
	}
	h.offers[stream] = nil
	h.call(stream, &scheduler.Call{Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{
		OfferIDs: []mesos.OfferID{o.ID}, Filters: &mesos.Filters{RefuseSeconds: &refuse},
		Operations: []mesos.Offer_Operation{{Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: tasks}}},
	}})
}

func (h *history) update(r *rapid.T) {
	x, ok := one(r, h.tasks)
	if !ok {
		return
	}
	h.count++
	state := rapid.SampledFrom([]mesos.TaskState{mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_RUNNING, mesos.TASK_FINISHED, mesos.TASK_FAILED}).Draw(r, "state")
	uuid, at := make([]byte, 16), float64(h.now.UnixMilli())/1000
	binary.BigEndian.PutUint64(uuid, uint64(h.count))
	uuid[6], uuid[8] = 4<<4, 0x80
	healthy := rapid.Bool().Draw(r, "healthy")
	h.step(core.AgentMessaged{From: x.pid, Message: &messages.StatusUpdateMessage{PID: &x.pid, Update: messages.StatusUpdate{
		FrameworkID: x.framework, AgentID: &x.agent, Timestamp: at, UUID: uuid,
		Status: mesos.TaskStatus{TaskID: x.task, State: &state, AgentID: &x.agent, Timestamp: &at, UUID: uuid, Healthy: &healthy},
	}}})
	for _, stream := range h.streams {
		if id := h.names[stream]; id != nil && id.Value == x.framework.Value {
			h.call(stream, &scheduler.Call{Type: scheduler.Call_ACKNOWLEDGE, Acknowledge: &scheduler.Call_Acknowledge{AgentID: x.agent, TaskID: x.task, UUID: uuid}})
		}
	}
}

func (h *history) exit(r *rapid.T) {
	if pid, ok := one(r, h.agents); ok && rapid.IntRange(0, 3).Draw(r, "rarely") == 0 {
		h.step(core.AgentExited{PID: pid})
	}
}

func (h *history) teardown(r *rapid.T) {
	if stream, ok := one(r, h.streams); ok && h.names[stream] != nil && rapid.IntRange(0, 3).Draw(r, "rarely") == 0 {
		h.request++
		h.step(core.TornDown{Request: h.request, Framework: h.names[stream].Value})
	}
}

func (h *history) pass(r *rapid.T) {
	h.now = h.now.Add(rapid.SampledFrom([]time.Duration{time.Millisecond, 2 * time.Second, 2 * time.Minute, 20 * time.Minute}).Draw(r, "time"))
	for !h.s.Deadline().After(h.now) {
		h.take(h.s.Step(h.now, core.Ticked{}))
	}
}
