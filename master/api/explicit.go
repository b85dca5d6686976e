package api

import (
	"bytes"
	"encoding/json"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// explicitUnknown marks a type that a scheduler set to UNKNOWN. The vocabulary has
// UNKNOWN for types that are not set, too; Mesos takes those for what they must be, and
// refuses the others (reference rows TV-05, TV-11, TG-01). So does package core with a
// type that it doesn't know, so that the mark never leaves the master.
const explicitUnknown = -1

// typed is something with a type, in JSON.
type typed struct {
	Type string `json:"type"`
}

func (t *typed) unknown() bool { return t != nil && t.Type == "UNKNOWN" }

// typedTask is a task as far as its types are concerned.
type typedTask struct {
	Executor    *typed `json:"executor"`
	HealthCheck *typed `json:"health_check"`
	Check       *typed `json:"check"`
}

// markUnknown marks the types in an ACCEPT that were set to UNKNOWN in the JSON that it
// came from. Who speaks protobuf and does such a thing is taken not to have set them.
func markUnknown(call *scheduler.Call, body []byte) {
	if call.Type != scheduler.Call_ACCEPT || !bytes.Contains(body, []byte(`"UNKNOWN"`)) {
		return
	}
	var seen struct {
		Accept struct {
			Operations []struct {
				Launch struct {
					Tasks []typedTask `json:"task_infos"`
				} `json:"launch"`
				Group struct {
					Executor *typed `json:"executor"`
					Group    struct {
						Tasks []typedTask `json:"tasks"`
					} `json:"task_group"`
				} `json:"launch_group"`
			} `json:"operations"`
		} `json:"accept"`
	}
	if json.Unmarshal(body, &seen) != nil || len(seen.Accept.Operations) != len(call.Accept.Operations) {
		return // it was parsed before, so this can't be
	}
	for i := range call.Accept.Operations {
		op, was := &call.Accept.Operations[i], &seen.Accept.Operations[i]
		markTasks(op.GetLaunch().GetTaskInfos(), was.Launch.Tasks)
		if op.LaunchGroup != nil {
			markTasks(op.LaunchGroup.TaskGroup.Tasks, was.Group.Group.Tasks)
			if was.Group.Executor.unknown() {
				op.LaunchGroup.Executor.Type = explicitUnknown
			}
		}
	}
}

func markTasks(tasks []mesos.TaskInfo, was []typedTask) {
	for i := range min(len(tasks), len(was)) {
		t := &tasks[i]
		if was[i].Executor.unknown() {
			t.Executor.Type = explicitUnknown
		}
		if was[i].HealthCheck.unknown() {
			t.HealthCheck.Type = explicitUnknown
		}
		if was[i].Check.unknown() {
			t.Check.Type = explicitUnknown
		}
	}
}
