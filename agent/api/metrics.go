package api

import (
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// snapshot are the agent's metrics, all of them numbers that were counted.
func (s *Server) snapshot() map[string]float64 {
	v := s.Agent.View()
	c := v.Counters
	m := map[string]float64{
		"slave/uptime_secs": time.Since(s.Started).Seconds(), "slave/registered": 0, "slave/recovery_errors": float64(c.RecoveryErrors),
		"slave/frameworks_active": float64(len(v.Frameworks)), "slave/container_launch_errors": float64(c.LaunchErrors),
		"slave/valid_status_updates": float64(c.ValidUpdates), "slave/invalid_status_updates": float64(c.InvalidUpdates),
		"slave/valid_framework_messages": float64(c.ValidMessages), "slave/invalid_framework_messages": float64(c.InvalidMessages),
		"slave/executors_registering": 0, "slave/executors_running": 0, "slave/executors_terminating": 0,
		"slave/executors_terminated": float64(c.ExecutorsTerminated),
	}
	if v.Registered {
		m["slave/registered"] = 1
	}
	for _, state := range []mesos.TaskState{mesos.TASK_STAGING, mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_KILLING} {
		m[taskMetric(state)] = 0
	}
	for _, state := range []mesos.TaskState{mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_LOST, mesos.TASK_GONE} {
		m[taskMetric(state)] = float64(c.TasksByState[state])
	}
	var used []mesos.Resource
	for _, f := range v.Frameworks {
		for _, e := range f.Executors {
			if e.State != "TERMINATED" {
				m["slave/executors_"+strings.ToLower(e.State)]++
				used = append(used, e.Resources...)
			}
			for range e.Queued {
				m[taskMetric(mesos.TASK_STAGING)]++
			}
			for _, t := range e.Launched {
				m[taskMetric(t.Task.GetState())]++
			}
		}
	}
	total, taken := sum(v.Resources), sum(used)
	for _, name := range []string{"cpus", "gpus", "mem", "disk"} {
		t, u := total[name].(float64), taken[name].(float64)
		m["slave/"+name+"_total"], m["slave/"+name+"_used"], m["slave/"+name+"_percent"] = t, u, 0
		if t > 0 {
			m["slave/"+name+"_percent"] = u / t
		}
	}
	return m
}

func taskMetric(state mesos.TaskState) string {
	return "slave/tasks_" + strings.ToLower(strings.TrimPrefix(state.String(), "TASK_"))
}
