package api

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/offers"
)

// metricsSnapshot serves the metrics by Mesos's names (reference appendix C). What
// is not measured is left out; a counter of what this master never does is 0.
func (s *Server) metricsSnapshot(w http.ResponseWriter, r *http.Request) {
	if !metricsTimeout(w, r) {
		return
	}
	if m, ok := s.measured(w, r); ok {
		s.json(w, r, m)
	}
}

// measured is every metric now, or a refusal.
func (s *Server) measured(w http.ResponseWriter, r *http.Request) (map[string]float64, bool) {
	v, err := s.backend.View(r.Context()) // of the whole: sums are no one's secret
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "%s", err)
		return nil, false
	}
	m := s.metrics(v)
	if err := s.roleMetrics(r, m); err != nil {
		refuse(w, http.StatusServiceUnavailable, "%s", err)
		return nil, false
	}
	return m, true
}

func metricList(m map[string]float64) []mesos.Metric {
	var list []mesos.Metric
	for _, name := range sortedNames(m) {
		value := m[name]
		list = append(list, mesos.Metric{Name: name, Value: &value})
	}
	return list
}

// prometheus serves the same numbers for Prometheus: tombolo_ and the name, with
// what is no letter or digit as _. Metrics of single frameworks are left out.
func (s *Server) prometheus(w http.ResponseWriter, r *http.Request) {
	m, ok := s.measured(w, r)
	if !ok {
		return
	}
	var out bytes.Buffer
	for _, name := range sortedNames(m) {
		if strings.HasPrefix(name, "master/frameworks/") {
			continue
		}
		fmt.Fprintf(&out, "tombolo_%s %g\n", notInNames.ReplaceAllString(name, "_"), m[name])
	}
	s.body(w, r, "text/plain; version=0.0.4; charset=utf-8", out.Bytes())
}

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// elected is 1 for the leader and 0 for every other master.
func (s *Server) elected() float64 {
	if s.standing().Elected {
		return 1
	}
	return 0
}

func (s *Server) metrics(v *core.View) map[string]float64 {
	m := map[string]float64{
		"master/uptime_secs":                       time.Since(s.facts.Started).Seconds(),
		"master/elected":                           s.elected(),
		"master/event_queue_dispatches":            float64(s.backend.Backlog()),
		"master/event_queue_messages":              0,
		"master/event_queue_http_requests":         0,
		"master/http_cache_hits":                   float64(s.cacheHits.Load()),
		"master/operator_event_stream_subscribers": float64(s.backend.Watchers()),
		"allocator/mesos/allocation_runs":          float64(v.Counters.AllocationRuns),
	}
	resourceMetrics(m, v)
	agentMetrics(m, v)
	taskMetrics(m, v)
	messageMetrics(m, &v.Counters)
	operationMetrics(m, &v.Counters)
	if s.facts.PerFrameworkMetrics {
		for _, f := range v.Frameworks {
			frameworkMetrics(m, f)
		}
	}
	meters := s.facts.Meters
	meters.Allocation.into(m, "allocator/mesos/allocation_run_ms")
	meters.AllocationLatency.into(m, "allocator/mesos/allocation_run_latency_ms")
	meters.RegistryStore.into(m, "registrar/state_store_ms")
	meters.RegistryFetch.last(m, "registrar/state_fetch_ms")
	m["registrar/queued_operations"] = float64(meters.QueuedWrites.Load())
	m["registrar/registry_size_bytes"] = float64(registrySize(v))
	systemMetrics(m)
	return m
}

// registrySize is the size in bytes of the messages that the registry keeps: agents, frameworks, quotas and weights.
func registrySize(v *core.View) int {
	size := 0
	for _, a := range v.Agents {
		size += proto.Size(&a.Info)
	}
	for i := range v.Recovered {
		size += proto.Size(&v.Recovered[i])
	}
	for _, f := range v.Frameworks {
		size += proto.Size(&f.Info)
	}
	for i := range v.Quotas {
		size += proto.Size(&v.Quotas[i])
	}
	for i := range v.Weights {
		size += proto.Size(&v.Weights[i])
	}
	return size
}

// resourceMetrics are the totals of the datacenter.
func resourceMetrics(m map[string]float64, v *core.View) {
	var total, used, offered offers.Resources
	for _, a := range v.Agents {
		total, used, offered = total.Plus(a.Total.Unallocated()), used.Plus(a.Used.Unallocated()), offered.Plus(a.Offered.Unallocated())
	}
	for _, name := range []string{"cpus", "gpus", "mem", "disk"} {
		t, u := total.Scalar(name).Float(), used.Scalar(name).Float()
		m["master/"+name+"_total"], m["master/"+name+"_used"], m["master/"+name+"_percent"] = t, u, 0
		if t > 0 {
			m["master/"+name+"_percent"] = u / t
		}
		for _, suffix := range []string{"total", "used", "percent"} {
			m["master/"+name+"_revocable_"+suffix] = 0
		}
		if name != "gpus" {
			m["allocator/mesos/resources/"+name+"/total"] = t
			m["allocator/mesos/resources/"+name+"/offered_or_allocated"] = u + offered.Scalar(name).Float()
		}
	}
}

func agentMetrics(m map[string]float64, v *core.View) {
	connected, active := 0, 0
	for _, a := range v.Agents {
		if a.Connected {
			connected++
		}
		if a.Active {
			active++
		}
	}
	m["master/slaves_connected"], m["master/slaves_disconnected"] = float64(connected), float64(len(v.Agents)-connected)
	m["master/slaves_active"], m["master/slaves_inactive"] = float64(active), float64(len(v.Agents)-active)
	m["master/slaves_unreachable"] = float64(v.Unreachable)
	c := &v.Counters
	m["master/slave_registrations"], m["master/slave_reregistrations"] = float64(c.AgentRegistrations), float64(c.AgentReregistrations)
	removals := c.AgentRemovals + c.AgentsUnreachable
	m["master/slave_removals"] = float64(removals)
	m["master/slave_removals/reason_unhealthy"] = float64(c.AgentsUnreachable)
	m["master/slave_removals/reason_unregistered"] = float64(c.AgentRemovals - c.AgentsReplaced)
	m["master/slave_removals/reason_registered"] = float64(c.AgentsReplaced)
	m["master/recovery_slave_removals"] = float64(c.RecoveryRemovals)
	for _, name := range []string{"slave_unreachable", "slave_shutdowns"} {
		m["master/"+name+"_scheduled"], m["master/"+name+"_completed"] = float64(c.AgentsUnreachable), float64(c.AgentsUnreachable)
		m["master/"+name+"_canceled"] = 0
	}
}

// The states that a task can be in, and those that end it.
var (
	activeStates   = []mesos.TaskState{mesos.TASK_STAGING, mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_KILLING, mesos.TASK_UNREACHABLE}
	terminalStates = []mesos.TaskState{
		mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_LOST, mesos.TASK_ERROR,
		mesos.TASK_DROPPED, mesos.TASK_GONE, mesos.TASK_GONE_BY_OPERATOR,
	}
)

func taskMetrics(m map[string]float64, v *core.View) {
	counts, outstanding := taskCounts{}, 0
	active, connected := 0, 0
	for _, f := range v.Frameworks {
		counts.add(f.Tasks)
		counts.add(f.Unreachable)
		outstanding += len(f.Offers)
		if f.Active {
			active++
		}
		if f.Connected {
			connected++
		}
	}
	n := len(v.Frameworks)
	m["master/frameworks_active"], m["master/frameworks_inactive"] = float64(active), float64(n-active)
	m["master/frameworks_connected"], m["master/frameworks_disconnected"] = float64(connected), float64(n-connected)
	m["master/outstanding_offers"] = float64(outstanding)
	for _, state := range activeStates {
		m["master/tasks_"+short(state)] = float64(counts[state.String()])
	}
	for _, state := range terminalStates {
		m["master/tasks_"+short(state)] = float64(v.Counters.TasksEnded[state.String()])
	}
	for kind, n := range v.Counters.TasksEndedBy {
		m[fmt.Sprintf("master/%s/%s/%s", strings.ToLower(kind.State.String()), strings.ToLower(kind.Source.String()), strings.ToLower(kind.Reason.String()))] = float64(n)
	}
}

// short is a state's name in metrics: TASK_RUNNING is "running".
func short(state mesos.TaskState) string {
	return strings.ToLower(strings.TrimPrefix(state.String(), "TASK_"))
}

// messageNames are the kinds of messages that are counted.
var messageNames = []string{
	"authenticate", "deactivate_framework", "decline_offers", "executor_to_framework", "exited_executor", "framework_to_executor",
	"kill_task", "launch_tasks", "operation_status_update", "operation_status_update_acknowledgement", "reconcile_operations",
	"reconcile_tasks", "register_framework", "register_slave", "reregister_framework", "reregister_slave", "resource_request",
	"revive_offers", "status_update", "status_update_acknowledgement", "suppress_offers", "unregister_framework", "unregister_slave", "update_slave",
}

func messageMetrics(m map[string]float64, c *core.Counters) {
	for _, name := range messageNames {
		m["master/messages_"+name] = float64(c.Messages[name])
	}
	m["master/dropped_messages"] = 0
	for name, counts := range map[string][2]uint64{
		"status_updates":                           {c.ValidUpdates, c.InvalidUpdates},
		"status_update_acknowledgements":           {c.ValidAcks, c.InvalidAcks},
		"framework_to_executor_messages":           {c.ValidFrameworkMessages, c.InvalidFrameworkMessages},
		"executor_to_framework_messages":           {c.ValidExecutorMessages, c.InvalidExecutorMessages},
		"operation_status_updates":                 {c.ValidOperationUpdates, c.InvalidOperationUpdates},
		"operation_status_update_acknowledgements": {c.ValidOperationAcks, c.InvalidOperationAcks},
	} {
		m["master/valid_"+name], m["master/invalid_"+name] = float64(counts[0]), float64(counts[1])
	}
}

// operationMetrics count offer operations by type and state.
func operationMetrics(m map[string]float64, c *core.Counters) {
	states := []string{"dropped", "error", "failed", "finished", "gone_by_operator", "pending", "recovering", "total", "unreachable"}
	for _, state := range states {
		m["master/operations/"+state] = 0
		for _, kind := range []string{"create", "create_disk", "destroy", "destroy_disk", "grow_volume", "reserve", "shrink_volume", "unreserve"} {
			m["master/operations/"+kind+"/"+state] = 0
		}
	}
	for kind, n := range c.Operations {
		of, state := strings.ToLower(kind.Type.String())+"/", strings.ToLower(strings.TrimPrefix(kind.State.String(), "OPERATION_"))
		for _, name := range []string{state, of + state, "total", of + "total"} {
			m["master/operations/"+name] += float64(n)
		}
	}
	m["allocator/event_queue_dispatches"], m["allocator/mesos/event_queue_dispatches"] = 0, 0 // the allocator has no queue of its own
}

// frameworkMetrics are those of one framework: master/frameworks/<name>/<id>/...
func frameworkMetrics(m map[string]float64, f *core.FrameworkView) {
	prefix := "master/frameworks/" + url.PathEscape(f.Info.Name) + "/" + f.ID() + "/"
	c := &f.Counters
	m[prefix+"subscribed"] = truth(f.Connected)
	family(m, prefix+"calls", c.Calls, names(scheduler.Call_Type_name))
	family(m, prefix+"events", c.Events, names(scheduler.Event_Type_name))
	family(m, prefix+"operations", c.Operations, names(mesos.Offer_Operation_Type_name))
	m[prefix+"offers/sent"], m[prefix+"offers/accepted"] = float64(c.OffersSent), float64(c.OffersAccepted)
	m[prefix+"offers/declined"], m[prefix+"offers/rescinded"] = float64(c.OffersDeclined), float64(c.OffersRescinded)
	counts := taskCounts{}
	counts.add(f.Tasks)
	counts.add(f.Unreachable)
	for _, state := range append(activeStates[:len(activeStates):len(activeStates)], mesos.TASK_UNKNOWN) {
		m[prefix+"tasks/active/"+strings.ToLower(state.String())] = float64(counts[state.String()])
	}
	for _, state := range terminalStates {
		m[prefix+"tasks/terminal/"+strings.ToLower(state.String())] = float64(c.TasksEnded[state.String()])
	}
	suppressed := map[string]bool{}
	for _, r := range f.Suppressed {
		suppressed[r] = true
	}
	for _, r := range f.Roles() {
		m[prefix+"roles/"+r+"/suppressed"] = truth(suppressed[r])
	}
}

// family writes a counter per name, and their sum.
func family(m map[string]float64, prefix string, counts map[string]uint64, all []string) {
	sum := uint64(0)
	for _, name := range all {
		m[prefix+"/"+strings.ToLower(name)] = float64(counts[name])
		sum += counts[name]
	}
	m[prefix] = float64(sum)
}

// names lists the values of an enum without UNKNOWN.
func names(enum map[int32]string) []string {
	var list []string
	for number, name := range enum {
		if number != 0 {
			list = append(list, name)
		}
	}
	sort.Strings(list)
	return list
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func systemMetrics(m map[string]float64) {
	m["system/cpus_total"] = float64(runtime.NumCPU())
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return
	}
	const loadUnit = 1 << 16
	m["system/load_1min"], m["system/load_5min"], m["system/load_15min"] = float64(info.Loads[0])/loadUnit, float64(info.Loads[1])/loadUnit, float64(info.Loads[2])/loadUnit
	m["system/mem_total_bytes"] = float64(info.Totalram) * float64(info.Unit)
	m["system/mem_free_bytes"] = float64(info.Freeram) * float64(info.Unit)
}
