package api

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/constraints"
)

// Elements of a run of rendered text.
const (
	tasksOfRun = 64
	smallOfRun = 16 // of offers, agents, executors
)

// forms are all forms in which the lists of a View are shown, with what is kept of the
// last renderings. They belong to whoever renders.
type forms struct {
	legacy *legacyForm
	json   *apiForm
	proto  *apiForm
}

func newForms() *forms {
	return &forms{legacy: newLegacyForm(), json: newAPIForm(true), proto: newAPIForm(false)}
}

// api is the form of a codec.
func (f *forms) api(c codec.Codec) *apiForm {
	if c == codec.JSON {
		return f.json
	}
	return f.proto
}

// next begins another rendering.
func (f *forms) next() {
	f.legacy.next()
	f.json.next()
	f.proto.next()
}

// node is a field of a message: a list of rendered elements, or a message within.
type node struct {
	name   string
	number int
	items  [][]*piece // each one element or more
	inside []node
}

// apiForm shows lists as the v1 operator API does, in JSON or protobuf (reference section
// 2.2). In JSON a list is there even when it is empty, which readers rely on, and a
// framework has offer_constraints.
type apiForm struct {
	json                          bool
	tasks, unreachable, completed *memo[*mesos.Task]
	executors                     *memo[*core.ExecutorView]
	agents                        *memo[*core.AgentView]
	recovered                     *memo[*mesos.AgentInfo]
	offers                        *memo[*mesos.Offer]
	frameworks, ended             *memo[*core.FrameworkView]
}

func newAPIForm(inJSON bool) *apiForm {
	f := &apiForm{json: inJSON}
	task := func(x *mesos.Task) proto.Message { return x }
	f.tasks = repeated(f, tasksOfRun, 2, task)
	f.unreachable = repeated(f, tasksOfRun, 5, task)
	f.completed = repeated(f, tasksOfRun, 3, task)
	f.executors = repeated(f, smallOfRun, 1, func(x *core.ExecutorView) proto.Message {
		return &master.Response_GetExecutors_Executor{ExecutorInfo: shownExecutor(&x.Info), AgentID: mesos.AgentID{Value: x.AgentID}}
	})
	f.agents = newMemo(smallOfRun, inJSON, func(t *text, x *core.AgentView) { f.agent(t, core.AgentMessage(x)) })
	f.recovered = newMemo(smallOfRun, inJSON, func(t *text, x *mesos.AgentInfo) { f.recoveredAgent(t, x) })
	f.offers = repeated(f, smallOfRun, 7, func(x *mesos.Offer) proto.Message { return x })
	f.frameworks = newMemo(1, false, func(t *text, x *core.FrameworkView) { f.framework(t, x, 1) })
	f.ended = newMemo(1, false, func(t *text, x *core.FrameworkView) { f.framework(t, x, 2) })
	return f
}

func (f *apiForm) next() {
	f.tasks.next()
	f.unreachable.next()
	f.completed.next()
	f.executors.next()
	f.agents.next()
	f.recovered.next()
	f.offers.next()
	f.frameworks.next()
	f.ended.next()
}

// repeated is a memo of a repeated field of messages.
func repeated[K comparable](f *apiForm, most, number int, message func(K) proto.Message) *memo[K] {
	return newMemo(most, f.json, func(t *text, k K) { f.element(t, number, message(k)) })
}

// element writes one element of a repeated field.
func (f *apiForm) element(t *text, number int, m proto.Message) {
	if f.json {
		*t = append(*t, raw(m)...)
		return
	}
	data, err := proto.Marshal(m)
	if err != nil {
		panic("api: " + err.Error()) // messages of our own are complete
	}
	t.tag(number, len(data))
	*t = append(*t, data...)
}

// checkpointing is AgentInfo.checkpoint, which the vocabulary lacks, as a protocol buffer. Every agent of a version that
// may join keeps its tasks over a restart (reference row 0.6).
var checkpointing = []byte{7 << 3, 1}

// agent writes an agent.
func (f *apiForm) agent(t *text, m *master.Response_GetAgents_Agent) {
	if f.json {
		*t = append(*t, withCheckpoint(raw(m), `"agent_info":{`)...)
		return
	}
	data := agentBytes(m)
	t.tag(1, len(data))
	*t = append(*t, data...)
}

// agentBytes is an agent as a protocol buffer, with what its agent_info, the first field, lacks.
func agentBytes(m *master.Response_GetAgents_Agent) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic("api: " + err.Error()) // messages of our own are complete
	}
	size, n := binary.Uvarint(data[1:])
	info, rest := data[1+n:1+n+int(size)], data[1+n+int(size):]
	var t text
	t.tag(1, len(info)+len(checkpointing))
	return append(append(append(t, info...), checkpointing...), rest...)
}

// recoveredAgent writes an agent that has not come back yet.
func (f *apiForm) recoveredAgent(t *text, m *mesos.AgentInfo) {
	if f.json {
		*t = append(*t, withCheckpoint(raw(m), "{")...)
		return
	}
	data, err := proto.Marshal(m)
	if err != nil {
		panic("api: " + err.Error()) // messages of our own are complete
	}
	data = append(data, checkpointing...)
	t.tag(2, len(data))
	*t = append(*t, data...)
}

// withCheckpoint puts the field into the first object that begins like that.
func withCheckpoint(data []byte, begin string) []byte {
	return bytes.Replace(data, []byte(begin), []byte(begin+`"checkpoint":true,`), 1)
}

// tag begins a field of a protocol buffer that has a length.
func (t *text) tag(number, length int) {
	*t = binary.AppendUvarint(*t, uint64(number)<<3|2)
	*t = binary.AppendUvarint(*t, uint64(length))
}

// framework writes a framework with its offers.
func (f *apiForm) framework(t *text, x *core.FrameworkView, number int) {
	for _, p := range f.frameworkPieces(x, number) {
		*t = append(*t, p.text...)
	}
}

// frameworkPieces is a framework, whose offers are kept apart: there can be one for each agent.
func (f *apiForm) frameworkPieces(x *core.FrameworkView, number int) []*piece {
	m := core.FrameworkMessage(x)
	m.Offers = nil
	var b builder
	offers := f.offers.render(x.Offers)
	if f.json {
		head := raw(&m)
		b.text = append(b.text, head[:len(head)-1]...)
		if len(offers) > 0 {
			b.field("offers")
			b.open('[')
			b.add(offers)
			b.close(']')
		}
		b.rawField("offer_constraints", constraintsJSON(x))
		b.close('}')
		return b.done().pieces
	}
	head, err := proto.Marshal(&m)
	if err != nil {
		panic("api: " + err.Error()) // messages of our own are complete
	}
	wants := &constraints.OfferConstraints{}
	if x.Constraints != nil {
		wants = x.Constraints
	}
	var tail text
	f.element(&tail, constraintsField, wants)
	b.tag(number, len(head)+len(tail)+sizeOf(offers))
	b.text = append(append(b.text, head...), tail...)
	for _, p := range offers {
		b.splice(p)
	}
	return b.done().pieces
}

// constraintsField is the number of Framework.offer_constraints, which the vocabulary lacks.
const constraintsField = 12

// manyOffers is from how many offers on a framework is not kept as one piece.
const manyOffers = 32

// frameworkList is the elements of a list of frameworks.
func (f *apiForm) frameworkList(list []*core.FrameworkView, kept *memo[*core.FrameworkView], number int) [][]*piece {
	items := make([][]*piece, 0, len(list))
	for _, x := range list {
		if len(x.Offers) > manyOffers {
			items = append(items, f.frameworkPieces(x, number))
			continue
		}
		items = append(items, kept.render([]*core.FrameworkView{x}))
	}
	return items
}

func sizeOf(pieces []*piece) int {
	n := 0
	for _, p := range pieces {
		n += len(p.text)
	}
	return n
}

// each makes of every piece an element of its own.
func each(pieces []*piece) [][]*piece {
	items := make([][]*piece, len(pieces))
	for i := range pieces {
		items[i] = pieces[i : i+1]
	}
	return items
}

// state, tasksNode ... are the messages of reference section 2.2.

func (f *apiForm) stateNode(v *core.View, number int) node {
	return node{name: "get_state", number: number, inside: []node{f.tasksNode(v, 1), f.executorsNode(v, 2), f.frameworksNode(v, 3), f.agentsNode(v, 4)}}
}

func (f *apiForm) tasksNode(v *core.View, number int) node {
	var tasks, unreachable, completed [][]*piece
	for _, list := range [][]*core.FrameworkView{v.Frameworks, v.Completed} {
		for _, x := range list {
			tasks = append(tasks, each(f.tasks.render(x.Tasks))...)
			unreachable = append(unreachable, each(f.unreachable.render(x.Unreachable))...)
			completed = append(completed, each(f.completed.render(x.Completed))...)
		}
	}
	return node{name: "get_tasks", number: number, inside: []node{
		{name: "tasks", number: 2, items: tasks}, {name: "unreachable_tasks", number: 5, items: unreachable}, {name: "completed_tasks", number: 3, items: completed},
	}}
}

func (f *apiForm) executorsNode(v *core.View, number int) node {
	var items [][]*piece
	for _, x := range v.Frameworks {
		items = append(items, each(f.executors.render(executorPointers(x)))...)
	}
	return node{name: "get_executors", number: number, inside: []node{{name: "executors", number: 1, items: items}}}
}

func executorPointers(f *core.FrameworkView) []*core.ExecutorView {
	list := make([]*core.ExecutorView, len(f.Executors))
	for i := range f.Executors {
		list[i] = &f.Executors[i]
	}
	return list
}

func (f *apiForm) frameworksNode(v *core.View, number int) node {
	return node{name: "get_frameworks", number: number, inside: []node{
		{name: "frameworks", number: 1, items: f.frameworkList(v.Frameworks, f.frameworks, 1)},
		{name: "completed_frameworks", number: 2, items: f.frameworkList(v.Completed, f.ended, 2)},
	}}
}

func (f *apiForm) agentsNode(v *core.View, number int) node {
	recovered := make([]*mesos.AgentInfo, len(v.Recovered))
	for i := range v.Recovered {
		recovered[i] = &v.Recovered[i]
	}
	return node{name: "get_agents", number: number, inside: []node{
		{name: "agents", number: 1, items: each(f.agents.render(v.Agents))},
		{name: "recovered_agents", number: 2, items: each(f.recovered.render(recovered))},
	}}
}

// write renders a node as a field of the message that is being written.
func (f *apiForm) write(b *builder, n node) {
	switch {
	case f.json && n.inside != nil:
		b.field(n.name)
		b.open('{')
		for _, x := range n.inside {
			f.write(b, x)
		}
		b.close('}')
	case f.json:
		b.field(n.name)
		b.open('[')
		for i, item := range n.items {
			if i > 0 {
				b.text = append(b.text, ',')
			}
			for _, p := range item {
				b.splice(p)
			}
		}
		b.close(']')
	case n.inside != nil:
		b.tag(n.number, f.size(n))
		for _, x := range n.inside {
			f.write(b, x)
		}
	default:
		for _, item := range n.items {
			for _, p := range item {
				b.splice(p)
			}
		}
	}
}

// size is that of a node's content in protobuf.
func (f *apiForm) size(n node) int {
	size := 0
	for _, item := range n.items {
		size += sizeOf(item)
	}
	for _, x := range n.inside {
		inner := f.size(x)
		if x.inside != nil {
			var t text
			t.tag(x.number, inner)
			inner += len(t)
		}
		size += inner
	}
	return size
}

// response is a whole answer of type t with one field.
func (f *apiForm) response(t master.Response_Type, n node) *document {
	var b builder
	if f.json {
		b.open('{')
		b.stringField("type", t.String())
		f.write(&b, n)
		b.close('}')
	} else {
		b.text = binary.AppendUvarint(append(b.text, 1<<3), uint64(t))
		f.write(&b, n)
	}
	return b.done()
}

// subscribed is the first event of an operator's stream (reference row EVT-01).
func (f *apiForm) subscribed(v *core.View) *document {
	interval := core.HeartbeatInterval.Seconds()
	var b builder
	if f.json {
		b.open('{')
		b.stringField("type", "SUBSCRIBED")
		b.field("subscribed")
		b.open('{')
		f.write(&b, f.stateNode(v, 1))
		b.numberField("heartbeat_interval_seconds", interval)
		b.close('}')
		b.close('}')
		return b.done()
	}
	state := f.stateNode(v, 1)
	tail, err := proto.Marshal(&master.Event_Subscribed{HeartbeatIntervalSeconds: &interval})
	if err != nil {
		panic("api: " + err.Error())
	}
	b.text = binary.AppendUvarint(append(b.text, 1<<3), uint64(master.Event_SUBSCRIBED))
	b.tag(2, f.size(node{inside: []node{state}})+len(tail))
	f.write(&b, state)
	b.text = append(b.text, tail...)
	return b.done()
}

// answer renders a reading call whose answer lists much; nil if it is none of these.
func (f *apiForm) answer(v *core.View, t master.Call_Type) *document {
	switch t {
	case master.Call_GET_STATE:
		return f.response(master.Response_GET_STATE, f.stateNode(v, 9))
	case master.Call_GET_AGENTS:
		return f.response(master.Response_GET_AGENTS, f.agentsNode(v, 10))
	case master.Call_GET_FRAMEWORKS:
		return f.response(master.Response_GET_FRAMEWORKS, f.frameworksNode(v, 11))
	case master.Call_GET_EXECUTORS:
		return f.response(master.Response_GET_EXECUTORS, f.executorsNode(v, 12))
	case master.Call_GET_TASKS:
		return f.response(master.Response_GET_TASKS, f.tasksNode(v, 13))
	default:
		return nil
	}
}

// raw renders a message of the vocabulary inside of another document.
func raw(m proto.Message) json.RawMessage {
	data, err := codec.JSON.Marshal(m)
	if err != nil {
		panic("api: " + err.Error()) // messages of our own are complete
	}
	return data
}

// shownExecutor is an executor without the secrets of its environment (design D14).
func shownExecutor(x *mesos.ExecutorInfo) mesos.ExecutorInfo {
	shown := *x
	if x.Command != nil {
		command := *x.Command
		command.Environment = shownEnvironment(x.Command.Environment)
		shown.Command = &command
	}
	return shown
}

// shownEnvironment names the variables that are secrets without telling them.
func shownEnvironment(e *mesos.Environment) *mesos.Environment {
	if e == nil {
		return nil
	}
	shown := &mesos.Environment{Variables: append([]mesos.Environment_Variable(nil), e.Variables...)}
	for i := range shown.Variables {
		if s := shown.Variables[i].Secret; s != nil {
			hidden := *s
			hidden.Value = nil
			shown.Variables[i].Secret = &hidden
		}
	}
	return shown
}
