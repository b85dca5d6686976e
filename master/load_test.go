package master_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/master"
	"github.com/tombolo-project/tombolo/mesos/client"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
)

// The load: a real master, and in the same process agents that speak libprocess on
// loopback, and one framework over HTTP and protobuf. The processors are shared by all
// three, so the figures are what the three do together. 1,000 agents have a port each;
// 10,000 share 100 of them, and the master is a process of its own.
const (
	loadAgents  = 1000
	manyAgents  = 10_000
	together    = 100 // agents of one address where there are many: a process may not have that many connections
	perOffer    = 10  // tasks of one ACCEPT
	callers     = 8   // connections that the framework makes calls by
	idleTasks   = 20_000
	readers     = 5
	loadTimeout = 5 * time.Minute
)

// pool is many agents without anything behind them: what they are told to run runs at once.
type pool struct {
	b      *testing.B
	master libprocess.UPID
	quit   []func()
	wait   sync.WaitGroup

	registered, launched, acknowledged atomic.Int64
}

// pooled is one agent of a pool.
type pooled struct {
	pool   *pool
	self   libprocess.UPID
	sender *libprocess.Sender // may be that of others of the same address, too
	id     atomic.Pointer[mesos.AgentID]
}

// newPool has agents register, so many of them at each address.
func newPool(b *testing.B, address string, count, each int) *pool {
	to, err := libprocess.ParseUPID("master@" + address)
	if err != nil {
		b.Fatal(err)
	}
	p := &pool{b: b, master: to}
	b.Cleanup(p.close)
	r, err := offers.ParseText("cpus:1000;mem:1000000;disk:1000000", "*")
	if err != nil {
		b.Fatal(err)
	}
	for i := range count / each {
		p.add(mesos.AgentInfo{Hostname: fmt.Sprintf("host%d", i), Resources: r.Mesos()}, each)
	}
	p.until("all agents to register", func() bool { return p.registered.Load() == int64(count) })
	return p
}

// add has agents register from one address.
func (p *pool) add(info mesos.AgentInfo, count int) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		p.b.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	sender := libprocess.NewSender(libprocess.UPID{ID: "slave(0)", Host: "127.0.0.1", Port: port}, slog.New(slog.DiscardHandler))
	agents := map[string]*pooled{}
	for i := range count {
		id := fmt.Sprintf("slave(%d)", i+1)
		agents[id] = &pooled{pool: p, self: libprocess.UPID{ID: id, Host: "127.0.0.1", Port: port}, sender: sender}
	}
	server := &http.Server{Handler: libprocess.Handler(func(m libprocess.Message) bool {
		a := agents[m.To]
		return a != nil && a.deliver(m)
	}, http.NotFoundHandler())}
	p.wait.Go(func() { server.Serve(listener) })
	p.quit = append(p.quit, func() { server.Close(); sender.Close() })
	caps := []mesos.AgentInfo_Capability{{Type: mesos.AgentInfo_Capability_MULTI_ROLE}, {Type: mesos.AgentInfo_Capability_RESERVATION_REFINEMENT}}
	for _, a := range agents {
		a.say(p.master, &messages.RegisterSlaveMessage{Agent: info, Version: &version, AgentCapabilities: caps})
	}
}

func (p *pool) close() {
	for _, quit := range p.quit {
		quit()
	}
	p.wait.Wait()
}

// until polls until something is there.
func (p *pool) until(what string, there func() bool) {
	p.b.Helper()
	for deadline := time.Now().Add(loadTimeout); !there(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			p.b.Fatalf("waited in vain for %s: %d registered, %d launched, %d acknowledged", what, p.registered.Load(), p.launched.Load(), p.acknowledged.Load())
		}
	}
}

func (a *pooled) say(to libprocess.UPID, m proto.Message) {
	if err := a.sender.SendFrom(a.self, to, m); err != nil {
		a.pool.b.Errorf("%s to %s: %v", a.self, to, err)
	}
}

func (a *pooled) deliver(m libprocess.Message) bool {
	message, err := messages.Decode(m.Name, m.Body)
	if err != nil {
		a.pool.b.Errorf("the master sent %s: %v", m.Name, err)
		return true
	}
	switch message := message.(type) {
	case *messages.SlaveRegisteredMessage:
		if a.id.Swap(&message.AgentID) == nil {
			a.pool.registered.Add(1)
		}
	case *messages.PingSlaveMessage:
		a.say(m.From, &messages.PongSlaveMessage{})
	case *messages.RunTaskMessage:
		n := a.pool.launched.Add(1)
		pid, state, uuid := a.self.String(), mesos.TASK_RUNNING, make([]byte, 16)
		binary.BigEndian.PutUint64(uuid, uint64(n))
		uuid[6] = 4 << 4
		a.say(a.pool.master, &messages.StatusUpdateMessage{PID: &pid, Update: messages.StatusUpdate{
			FrameworkID: *message.Framework.ID, AgentID: a.id.Load(), Timestamp: 1, UUID: uuid,
			Status: mesos.TaskStatus{TaskID: message.Task.TaskID, State: &state},
		}})
	case *messages.StatusUpdateAcknowledgementMessage:
		a.pool.acknowledged.Add(1)
	}
	return true
}

// launcher is a framework that launches tasks on every offer until it has enough.
type launcher struct {
	b       *testing.B
	url     string
	http    *http.Client
	stream  *client.Stream
	id      *mesos.FrameworkID
	calls   chan *scheduler.Call
	wait    sync.WaitGroup
	wanted  atomic.Int64
	made    atomic.Int64
	updated atomic.Int64
	over    atomic.Bool // the calls that still wait are not made
}

func newLauncher(b *testing.B, address string) *launcher {
	timeout := 3600.0
	info := mesos.FrameworkInfo{User: "root", Name: "load", FailoverTimeout: &timeout, Roles: []string{"load"},
		Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}, {Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE}}}
	f := &launcher{b: b, url: "http://" + address + "/api/v1/scheduler", calls: make(chan *scheduler.Call, 1<<20),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers + 1}}}
	call := &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &info}}
	var err error
	if f.stream, err = client.Subscribe(context.Background(), f.http, f.url, codec.Protobuf, call); err != nil {
		b.Fatal(err)
	}
	first := &scheduler.Event{}
	if err := f.stream.Next(first); err != nil || first.Type != scheduler.Event_SUBSCRIBED {
		b.Fatalf("%v, %v", first, err)
	}
	f.id = first.Subscribed.FrameworkID
	for range callers {
		f.wait.Go(f.make)
	}
	f.wait.Go(f.read)
	b.Cleanup(func() { f.over.Store(true); f.stream.Close(); f.wait.Wait() })
	return f
}

// make sends the calls.
func (f *launcher) make() {
	for c := range f.calls {
		if f.over.Load() {
			continue
		}
		c.FrameworkID = f.id
		if err := client.Call(context.Background(), f.http, f.url, codec.Protobuf, c, client.WithStreamID(f.stream.StreamID())); err != nil && !f.over.Load() {
			f.b.Errorf("%s: %v", c.Type, err)
			return
		}
	}
}

// read answers the events until the stream ends.
func (f *launcher) read() {
	defer close(f.calls)
	for {
		e := &scheduler.Event{}
		if f.stream.Next(e) != nil {
			return
		}
		switch e.Type {
		case scheduler.Event_OFFERS:
			for i := range e.Offers.Offers {
				f.answer(&e.Offers.Offers[i])
			}
		case scheduler.Event_UPDATE:
			st := e.Update.Status
			if len(st.UUID) > 0 {
				f.calls <- &scheduler.Call{Type: scheduler.Call_ACKNOWLEDGE, Acknowledge: &scheduler.Call_Acknowledge{AgentID: *st.AgentID, TaskID: st.TaskID, UUID: st.UUID}}
			}
			f.updated.Add(1)
		}
	}
}

// answer launches on an offer what is still wanted, or declines it for long.
func (f *launcher) answer(o *mesos.Offer) {
	refuse := 0.0
	var tasks []mesos.TaskInfo
	for len(tasks) < perOffer && f.made.Load() < f.wanted.Load() {
		tasks = append(tasks, loadTask(o, f.made.Add(1)))
	}
	if len(tasks) == 0 {
		refuse = 24 * 3600
		f.calls <- &scheduler.Call{Type: scheduler.Call_DECLINE, Decline: &scheduler.Call_Decline{OfferIDs: []mesos.OfferID{o.ID}, Filters: &mesos.Filters{RefuseSeconds: &refuse}}}
		return
	}
	f.calls <- &scheduler.Call{Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{
		OfferIDs: []mesos.OfferID{o.ID}, Filters: &mesos.Filters{RefuseSeconds: &refuse},
		Operations: []mesos.Offer_Operation{{Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: tasks}}},
	}}
}

func loadTask(o *mesos.Offer, n int64) mesos.TaskInfo {
	id, value, role := fmt.Sprintf("load.instance-%08d", n), "sleep 1000", "load"
	scalar := func(name string, amount float64) mesos.Resource {
		kind := mesos.SCALAR
		return mesos.Resource{Name: name, Type: &kind, Scalar: &mesos.Value_Scalar{Value: amount}, AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role}}
	}
	return mesos.TaskInfo{Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: o.AgentID, Command: &mesos.CommandInfo{Value: &value},
		Resources: []mesos.Resource{scalar("cpus", 0.1), scalar("mem", 32)}}
}

// launch wants n more tasks and waits until all of them run.
func (f *launcher) launch(p *pool, n int) {
	want := f.wanted.Add(int64(n))
	f.calls <- &scheduler.Call{Type: scheduler.Call_REVIVE}
	p.until(fmt.Sprintf("%d tasks to run", want), func() bool { return f.updated.Load() >= want && p.acknowledged.Load() >= want })
}

func serveMaster(b *testing.B) string {
	cfg := master.Default()
	cfg.Port, cfg.Registry = 0, master.InMemory
	ctx, cancel := context.WithCancel(context.Background()) // outlives the framework, which b.Context would not
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- master.Run(ctx, cfg, slog.New(slog.DiscardHandler), func(address string) { ready <- address })
	}()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Errorf("master: %v", err)
		}
	})
	select {
	case address := <-ready:
		return address
	case err := <-done:
		done <- nil
		b.Fatal(err)
		return ""
	}
}

// BenchmarkLaunches launches as fast as it goes: an iteration is one task, from ACCEPT
// to the acknowledgement of its TASK_RUNNING at the agent.
func BenchmarkLaunches(b *testing.B) {
	b.Run(fmt.Sprintf("agents=%d", loadAgents), func(b *testing.B) {
		address := serveMaster(b)
		p := newPool(b, address, loadAgents, 1)
		launches(b, p, newLauncher(b, address), func() time.Duration { return processorTime(b) })
	})
	b.Run(fmt.Sprintf("agents=%d", manyAgents), func(b *testing.B) {
		address, pid := spawnMaster(b)
		p := newPool(b, address, manyAgents, together)
		launches(b, p, newLauncher(b, address), func() time.Duration {
			return processorTime(b) + processorTimeOf(b, pid)
		})
	})
}

// processorTimeOf is what another process has used.
func processorTimeOf(b *testing.B, pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	var ticks int64
	for _, i := range []int{11, 12} { // user and system time, in hundredths of a second
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func launches(b *testing.B, p *pool, f *launcher, processorTime func() time.Duration) {
	before := heap()
	b.ReportAllocs()
	b.ResetTimer()
	spent := processorTime()
	f.launch(p, b.N)
	spent = processorTime() - spent
	b.StopTimer()
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-us/op") // of master, agents and framework together
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "launches/s")
	b.ReportMetric(float64(int64(heap())-int64(before))/float64(b.N), "heap-B/task")
}

// processorTime is what this process has used, which other load on the machine does not change much.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// spawnMaster runs a master in a process of its own, as masters do.
func spawnMaster(b *testing.B) (address string, pid int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+inMemory)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			b.Error(err)
		}
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line), cmd.Process.Pid
}

// BenchmarkStateUnderLoad has clients read /state of 20,000 tasks all the time while
// tasks are launched; an iteration is one answer. /health is asked every 20 ms meanwhile.
// The master is a process of its own; agents, framework and clients share another one.
func BenchmarkStateUnderLoad(b *testing.B) {
	b.Run("plain", func(b *testing.B) { stateUnderLoad(b, true, true) })
	b.Run("gzip", func(b *testing.B) { stateUnderLoad(b, false, true) })
	b.Run("quiet", func(b *testing.B) { stateUnderLoad(b, true, false) }) // nothing is launched meanwhile
}

func stateUnderLoad(b *testing.B, plain, launching bool) {
	reader := &http.Client{Transport: &http.Transport{DisableCompression: plain, MaxIdleConnsPerHost: readers}}
	address, _ := spawnMaster(b)
	p := newPool(b, address, loadAgents, 1)
	f := newLauncher(b, address)
	f.launch(p, idleTasks)
	stop := make(chan struct{})
	var others sync.WaitGroup
	var health []time.Duration
	others.Go(func() { health = probeHealth(b, address, stop) })
	if launching {
		f.wanted.Add(1 << 40)
		f.calls <- &scheduler.Call{Type: scheduler.Call_REVIVE}
	}
	begun := f.updated.Load()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var mu sync.Mutex // protects times
	var times []time.Duration
	var reading sync.WaitGroup
	for range readers {
		reading.Go(func() {
			for left.Add(-1) >= 0 {
				took := fetch(b, reader, "http://"+address+"/state")
				mu.Lock()
				times = append(times, took)
				mu.Unlock()
			}
		})
	}
	reading.Wait()
	b.StopTimer()
	f.wanted.Store(0)
	launched := f.updated.Load() - begun
	close(stop)
	others.Wait()
	b.ReportMetric(float64(launched)/b.Elapsed().Seconds(), "launches/s")
	report(b, times, "state")
	report(b, health, "health")
}

func probeHealth(b *testing.B, address string, stop <-chan struct{}) (times []time.Duration) {
	for {
		select {
		case <-stop:
			return times
		case <-time.After(20 * time.Millisecond):
			times = append(times, fetch(b, http.DefaultClient, "http://"+address+"/health"))
		}
	}
}

func fetch(b *testing.B, client *http.Client, url string) time.Duration {
	begin := time.Now()
	r, err := client.Get(url)
	if err != nil {
		b.Error(err)
		return 0
	}
	defer r.Body.Close()
	if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != http.StatusOK {
		b.Errorf("GET %s: %s, %v", url, r.Status, err)
	}
	return time.Since(begin)
}

func report(b *testing.B, times []time.Duration, name string) {
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, name+"-p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, name+"-p99-ms")
}
