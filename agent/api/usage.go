package api

import (
	"encoding/json"
	"net/http"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/agent/containers"
	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/security"
	"github.com/tombolo-project/tombolo/security/authn"
)

// statistics serves /monitor/statistics: usage of each running executor.
func (s *Server) statistics(w http.ResponseWriter, r *http.Request) {
	list := []object{}
	s.each(r, func(f *core.FrameworkView, e *core.ExecutorView) {
		u, err := s.Agent.Containers().Usage(e.Container)
		if err != nil {
			return // ended meanwhile
		}
		list = append(list, object{
			"executor_id": e.Info.ExecutorID.Value, "executor_name": e.Info.GetName(), "framework_id": f.Info.ID.GetValue(),
			"source": e.Info.GetSource(), "statistics": message(statistics(u)),
		})
	})
	writeJSON(w, r, list)
}

// containers serves /containers: usage and status of each running executor's container.
func (s *Server) containers(w http.ResponseWriter, r *http.Request) {
	list := []object{}
	s.each(r, func(f *core.FrameworkView, e *core.ExecutorView) {
		stats := json.RawMessage("{}")
		if u, err := s.Agent.Containers().Usage(e.Container); err == nil {
			stats = message(statistics(u))
		}
		list = append(list, object{
			"executor_id": e.Info.ExecutorID.Value, "executor_name": e.Info.GetName(), "framework_id": f.Info.ID.GetValue(),
			"source": e.Info.GetSource(), "container_id": e.Container, "status": message(containerStatus(e)), "statistics": stats,
		})
	})
	writeJSON(w, r, list)
}

// each calls do for every container that the request's principal may see.
func (s *Server) each(r *http.Request, do func(*core.FrameworkView, *core.ExecutorView)) {
	approver := s.ACLs.For(authn.PrincipalOf(r.Context()))
	for _, f := range s.Agent.View().Frameworks {
		for _, e := range f.Executors {
			if e.State != "TERMINATED" && approver.Approved(security.ViewContainer, security.Named(core.ExecutorUser(&e.Info, &f.Info))) {
				do(f, e)
			}
		}
	}
}

func containerStatus(e *core.ExecutorView) *mesos.ContainerStatus {
	c := &mesos.ContainerStatus{ContainerID: &mesos.ContainerID{Value: e.Container}}
	if e.PID != 0 {
		pid := uint32(e.PID)
		c.ExecutorPID = &pid
	}
	return c
}

// statistics puts usage into Mesos's message; what is not known stays absent.
func statistics(u containers.Usage) *mesos.ResourceStatistics {
	f := func(v float64) *float64 { return &v }
	n := func(v uint64) *uint64 { return &v }
	c := func(v uint64) *uint32 { x := uint32(v); return &x }
	m := &mesos.ResourceStatistics{
		Timestamp:          float64(u.Timestamp.UnixMicro()) / 1e6,
		CPUsUserTimeSecs:   f(u.CPUUser),
		CPUsSystemTimeSecs: f(u.CPUSystem),
		CPUsSoftLimit:      f(u.CPUSoftLimit),
		MemRSSBytes:        n(u.MemRSS),
	}
	if u.CPULimit > 0 {
		m.CPUsLimit = f(u.CPULimit)
	}
	if u.MemLimit > 0 {
		m.MemLimitBytes = n(u.MemLimit)
	}
	if u.MemSoftLimit > 0 {
		m.MemSoftLimitBytes = n(u.MemSoftLimit)
	}
	if u.Cgroups {
		m.MemTotalBytes, m.Processes, m.Threads = n(u.MemTotal), &u.Processes, &u.Threads
		m.CPUsNrPeriods, m.CPUsNrThrottled, m.CPUsThrottledTimeSecs = c(u.Periods), c(u.Throttled), f(u.ThrottledTime)
		m.MemCacheBytes, m.MemFileBytes, m.MemAnonBytes = n(u.MemCache), n(u.MemCache), n(u.MemRSS)
		m.MemMappedFileBytes, m.MemSwapBytes = n(u.MemMappedFile), n(u.MemSwap)
	}
	return m
}

// metrics serves /metrics/snapshot; reference appendix C, as far as it is real here.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, r, s.snapshot())
}
