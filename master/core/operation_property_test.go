package core

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// TestConservation has frameworks and operators reserve, make, resize and destroy at random, with tasks in between, and
// checks after each event that
//
//	what the agent has is what a literal oracle says, and adds up to what it registered with
//	an operation is done exactly when the oracle finds all that it takes
//	what is used and offered is the agent's, and no more than once; the ledger agrees
func TestConservation(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := &conservation{w: newWorld(t)}
		c.a = c.w.operating("cpus:4;mem:1024;disk:1000")
		c.stock = stockOf(c.w.s.agents[c.a.id].total)
		for _, role := range []string{"a", "a/x", "b"} {
			c.schedulers = append(c.schedulers, c.w.reserver(role, mesos.FrameworkInfo_Capability_SHARED_RESOURCES))
		}
		r.Repeat(map[string]func(*rapid.T){
			"accept": some(c.accept), "operator": some(c.operator), "finish": some(c.finish), "decline": c.decline, "time": c.time, "answer": c.answer, "return": c.comeBack, "": c.check,
		})
	})
}

type conservation struct {
	w          *world
	a          *testAgent
	schedulers []*testScheduler
	stock      stock
	tasks      int
}

// stock counts resources in thousandths, each kind by a text that says all about it. Of a thing had whole the text has the size.
type stock map[string]int64

func stockKey(r mesos.Resource) string {
	r.AllocationInfo = nil
	if !operations.PersistentVolume(&r) {
		r.Scalar = &mesos.Value_Scalar{}
	}
	return operations.TextOf(&r)
}

func stockOf(r offers.Resources) stock {
	s := stock{}
	for _, x := range r.Unallocated().Mesos() {
		s.add(x, 1)
	}
	return s
}

func (s stock) add(r mesos.Resource, sign int64) {
	key := stockKey(r)
	if s[key] += sign * thousandths(r.Scalar.Value); s[key] == 0 {
		delete(s, key)
	}
}

func thousandths(v float64) int64 { return int64(math.Round(v * 1000)) }

func units(n int64) float64 { return float64(n/1000) + float64(n%1000)/1000 }

// convert is what an operation of one resource does, said once more and literally. It reports whether all was there.
func (s stock) convert(op *mesos.Offer_Operation) bool {
	var take, give []mesos.Resource
	switch op.Type {
	case mesos.Offer_Operation_RESERVE:
		r := op.Reserve.Resources[0]
		give = append(give, r)
		r.Reservations = r.Reservations[:len(r.Reservations)-1]
		take = append(take, r)
	case mesos.Offer_Operation_UNRESERVE:
		r := op.Unreserve.Resources[0]
		take = append(take, r)
		r.Reservations = r.Reservations[:len(r.Reservations)-1]
		give = append(give, r)
	case mesos.Offer_Operation_CREATE:
		v := op.Create.Volumes[0]
		give = append(give, v)
		v.Disk, v.Shared = nil, nil
		take = append(take, v)
	case mesos.Offer_Operation_DESTROY:
		v := op.Destroy.Volumes[0]
		take = append(take, v)
		v.Disk, v.Shared = nil, nil
		give = append(give, v)
	case mesos.Offer_Operation_GROW_VOLUME:
		v, more := op.GrowVolume.Volume, op.GrowVolume.Addition
		take = append(take, v, more)
		v.Scalar = &mesos.Value_Scalar{Value: units(thousandths(v.Scalar.Value) + thousandths(more.Scalar.Value))}
		give = append(give, v)
	case mesos.Offer_Operation_SHRINK_VOLUME:
		v, less := op.ShrinkVolume.Volume, op.ShrinkVolume.Subtract.Value
		take = append(take, v)
		freed := amount("disk", units(thousandths(less)), "", "")
		freed.Reservations = v.Reservations
		v.Scalar = &mesos.Value_Scalar{Value: units(thousandths(v.Scalar.Value) - thousandths(less))}
		give = append(give, v, freed)
	}
	for _, r := range take {
		if s[stockKey(r)] < thousandths(r.Scalar.Value) {
			return false
		}
	}
	for _, r := range take {
		s.add(r, -1)
	}
	for _, r := range give {
		s.add(r, 1)
	}
	return true
}

func (s stock) clone() stock {
	c := stock{}
	for k, v := range s {
		c[k] = v
	}
	return c
}

// draw makes an operation of valid form on resources of a role, mostly such as are there; pool is what is.
func draw(r *rapid.T, pool []mesos.Resource, role, allocated, principal, id string) *mesos.Offer_Operation {
	if len(pool) == 0 {
		op := unreserveOp(id, amount("cpus", 1, allocated, principal, role))
		return &op
	}
	x := rapid.SampledFrom(pool).Draw(r, "of")
	x.AllocationInfo = amount("", 0, allocated, "").AllocationInfo
	have := x.Scalar.Value
	part := rapid.SampledFrom([]float64{have, have / 2, 1, have + 1}).Draw(r, "amount")
	part = math.Max(math.Round(part*10)/10, .1)
	cut := x
	cut.Scalar = &mesos.Value_Scalar{Value: part}
	var op mesos.Offer_Operation
	switch {
	case operations.PersistentVolume(&x):
		op = drawOnVolume(r, x, cut, allocated, principal, role, id)
	case len(x.Reservations) == 0 || role == "a/x" && operations.ReservationRole(&x) == "a" && rapid.Bool().Draw(r, "refine"):
		cut.Reservations = append(cut.Reservations[:len(cut.Reservations):len(cut.Reservations)], amount("", 0, "", principal, role).Reservations[0])
		op = reserveOp(id, cut)
	case x.Name == "disk" && rapid.Bool().Draw(r, "volume"):
		v := cut
		v.Disk = volume(rapid.SampledFrom([]string{"v1", "v2"}).Draw(r, "name"), 1, "", principal, role).Disk
		if rapid.Bool().Draw(r, "shared") {
			v.Shared = &mesos.Resource_SharedInfo{}
		}
		op = createOp(id, v)
	default:
		op = unreserveOp(id, cut)
	}
	return &op
}

// drawOnVolume resizes or destroys.
func drawOnVolume(r *rapid.T, v, cut mesos.Resource, allocated, principal, role, id string) mesos.Offer_Operation {
	if v.Shared == nil && rapid.Bool().Draw(r, "resize") {
		if less := v.Scalar.Value / 2; rapid.Bool().Draw(r, "shrink") {
			return shrinkOp(id, v, less)
		}
		more := amount("disk", 1, allocated, principal, role)
		more.Reservations = v.Reservations
		return growOp(id, v, more)
	}
	if rapid.IntRange(0, 3).Draw(r, "a piece of it") == 0 {
		return destroyOp(id, cut)
	}
	return destroyOp(id, v)
}

// refusedAnyway says what the oracle does not know of: ids of volumes must be unique, and shared volumes that are used stay.
func (c *conservation) refusedAnyway(op *mesos.Offer_Operation) bool {
	switch op.Type {
	case mesos.Offer_Operation_CREATE:
		return uniquePersistence(operations.Checkpointed(c.w.s.agents[c.a.id].total), op.Create.Volumes) != nil
	case mesos.Offer_Operation_DESTROY:
		for _, used := range c.w.s.agents[c.a.id].used {
			v := op.Destroy.Volumes[0]
			v.AllocationInfo = nil
			if contains(used.Unallocated(), v) {
				return true
			}
		}
	}
	return false
}

// some lets a few things of one kind happen, so that a life is long enough for volumes to be made, used and destroyed.
func some(f func(*rapid.T)) func(*rapid.T) {
	return func(r *rapid.T) {
		for range rapid.IntRange(1, 6).Draw(r, "times") {
			f(r)
		}
	}
}

func (c *conservation) accept(r *rapid.T) {
	f := rapid.SampledFrom(c.schedulers).Draw(r, "framework")
	o, ok := pick(r, sortedOffers(c.w.s.frameworks[f.id].offers))
	if !ok {
		return
	}
	c.tasks++
	id := fmt.Sprintf("op%d", c.tasks)
	op := draw(r, scalars(o.resources), f.role, f.role, "p", id)
	refused := c.refusedAnyway(op)
	offered := stockOf(o.resources)
	wanted := !refused && offered.clone().convert(op)
	if wanted {
		c.stock.convert(op)
	}
	ops := []mesos.Offer_Operation{*op}
	var tasks []mesos.TaskInfo
	for n := range rapid.IntRange(0, 2).Draw(r, "tasks") {
		tasks = append(tasks, c.task(r, o, n))
	}
	ops = append(ops, launch(tasks...))
	f.accept(rapid.SampledFrom([]float64{0, 5}).Draw(r, "refuse"), *o.message, ops...)
	c.check(r)
	if st := f.result(id); (st.GetState() == mesos.OPERATION_ERROR) == wanted {
		r.Fatalf("%s of %v on %v: %v, the oracle says %t", op.Type, operations.Resources(op), offered, st, wanted)
	}
}

func scalars(r offers.Resources) (list []mesos.Resource) {
	for _, x := range r.Mesos() {
		if x.Name == "cpus" || x.Name == "disk" {
			list = append(list, x)
		}
	}
	return list
}

// task uses a bit of an offer, perhaps a volume.
func (c *conservation) task(r *rapid.T, o *offer, n int) mesos.TaskInfo {
	t := command(fmt.Sprintf("t%d-%d", c.tasks, n), *o.message, "cpus:0.1;mem:32")
	for _, x := range o.resources.Mesos() {
		if operations.PersistentVolume(&x) && rapid.Bool().Draw(r, "with volume") {
			t.Resources = append(t.Resources, x)
		}
	}
	return t
}

func (c *conservation) operator(r *rapid.T) {
	a := c.w.s.agents[c.a.id]
	op := draw(r, scalars(a.total), rapid.SampledFrom([]string{"a", "a/x", "b"}).Draw(r, "role"), "", "p", "")
	var used offers.Resources
	for _, id := range sortedKeys(a.used) {
		used = used.Plus(a.used[id].Unallocated())
	}
	free := stockOf(a.total.Shared().Plus(a.total.Exclusive().Without(used)))
	wanted := !c.refusedAnyway(op) && free.convert(op)
	c.w.request++
	c.w.step(OperationRequested{Request: c.w.request, AgentID: c.a.id, Operation: op})
	if reply := c.w.replies[c.w.request]; (reply.Status == 202) != wanted {
		r.Fatalf("%s of %v: %v, the oracle says %t of %v", op.Type, operations.Resources(op), reply, wanted, a.total)
	}
	if wanted {
		c.stock.convert(op)
	}
}

func (c *conservation) finish(r *rapid.T) {
	f := rapid.SampledFrom(c.schedulers).Draw(r, "framework")
	if t, ok := pick(r, sortedTasks(c.w.s.frameworks[f.id].tasks)); ok {
		f.acknowledge(c.a, t.key.task, c.a.reports(f, t.key.task, mesos.TASK_FINISHED))
	}
}

func (c *conservation) decline(r *rapid.T) {
	f := rapid.SampledFrom(c.schedulers).Draw(r, "framework")
	if o, ok := pick(r, sortedOffers(c.w.s.frameworks[f.id].offers)); ok {
		f.decline(0, *o.message)
	}
}

func (c *conservation) time(*rapid.T) { c.w.pass(2*time.Second, c.a.pid) }

// answer has the agent tell what it did, and the frameworks acknowledge it.
func (c *conservation) answer(*rapid.T) {
	c.a.finishes()
	for _, f := range c.schedulers {
		for _, o := range sortedOperations(c.w.s.frameworks[f.id].operations) {
			if n := len(o.info.Statuses); n > 0 {
				f.acknowledgeOperation(&o.info.Statuses[n-1])
			}
		}
	}
}

// comeBack breaks the connection; the agent returns with all that it was ordered.
func (c *conservation) comeBack(r *rapid.T) {
	a := c.w.s.agents[c.a.id]
	var tasks []mesos.Task
	var infos []mesos.FrameworkInfo
	for _, f := range c.schedulers {
		infos = append(infos, c.w.s.frameworks[f.id].info)
		for _, t := range sortedTasks(c.w.s.frameworks[f.id].tasks) {
			tasks = append(tasks, *t.info)
		}
	}
	var ops []mesos.Operation
	for _, o := range sortedOperations(a.operations) {
		ops = append(ops, *o.info)
	}
	c.w.step(AgentExited{PID: c.a.pid})
	version := "1.11.0"
	c.a.says(&messages.ReregisterSlaveMessage{Agent: c.a.info, Version: &version, AgentCapabilities: operatingCapabilities, Frameworks: infos, Tasks: tasks, CheckpointedResources: operations.Checkpointed(a.total)})
	c.a.says(&messages.UpdateSlaveMessage{AgentID: *c.a.info.ID, Operations: &messages.UpdateSlaveMessage_Operations{Operations: ops}})
}

func (c *conservation) check(r *rapid.T) {
	a := c.w.s.agents[c.a.id]
	have := stockOf(a.total)
	if fmt.Sprint(have) != fmt.Sprint(c.stock) {
		r.Fatalf("the agent has\n%v, the oracle says\n%v", have, c.stock)
	}
	for name, want := range map[string]offers.Amount{"cpus": 4 * offers.Unit, "mem": 1024 * offers.Unit, "disk": 1000 * offers.Unit} {
		if got := a.total.Scalar(name); got != want {
			r.Fatalf("%s of %s there: %s", got, name, operations.Text(a.total))
		}
	}
	if len(c.w.errors) > 0 {
		r.Fatalf("%v", c.w.errors)
	}
	all := c.w.s.ledger.Free(c.a.id).Exclusive()
	for _, f := range c.schedulers {
		sum := a.used[f.id]
		for _, o := range sortedOffers(c.w.s.frameworks[f.id].offers) {
			sum = sum.Plus(o.resources)
		}
		held := c.w.s.ledger.Held(f.id, c.a.id)
		if !held.Equal(sum) {
			r.Fatalf("framework %s: the ledger has booked %s, it holds %s", f.id, operations.Text(held), operations.Text(sum))
		}
		all = all.Plus(held.Unallocated().Exclusive())
	}
	if !all.Equal(a.total.Exclusive()) {
		r.Fatalf("the ledger knows of %s, the agent has %s", operations.Text(all), operations.Text(a.total))
	}
	taken := a.offered.Unallocated().Exclusive()
	for _, id := range sortedKeys(a.used) {
		taken = taken.Plus(a.used[id].Unallocated().Exclusive())
		if !a.total.Contains(a.used[id].Unallocated().Shared().Once()) {
			r.Fatalf("%s is used and not there", operations.Text(a.used[id]))
		}
	}
	if !a.total.Contains(taken) {
		r.Fatalf("%s used or offered of %s", operations.Text(taken), operations.Text(a.total))
	}
}
