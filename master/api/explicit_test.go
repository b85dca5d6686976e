package api

import (
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/codec"
)

// TV-05, TV-11, TG-01: a type that says UNKNOWN is not one that says nothing.
func TestTypesSetToUnknownAreMarked(t *testing.T) {
	task := func(types string) string {
		return `{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"a"}` + types + `}`
	}
	said := `,"executor":{"type":"UNKNOWN","executor_id":{"value":"e"}},"health_check":{"type":"UNKNOWN"},"check":{"type":"UNKNOWN"}`
	silent := `,"executor":{"executor_id":{"value":"e"}},"health_check":{},"check":{}`
	body := []byte(`{"type":"ACCEPT","accept":{"operations":[
		{"type":"LAUNCH","launch":{"task_infos":[` + task(silent) + `,` + task(said) + `]}},
		{"type":"LAUNCH_GROUP","launch_group":{"executor":{"type":"UNKNOWN","executor_id":{"value":"e"}},"task_group":{"tasks":[` + task(said) + `]}}}]}}`)
	call := &scheduler.Call{}
	if err := codec.JSON.Unmarshal(body, call); err != nil {
		t.Fatal(err)
	}
	markUnknown(call, body)
	check := func(x *mesos.TaskInfo, want int32) {
		t.Helper()
		if int32(x.Executor.Type) != want || int32(x.HealthCheck.Type) != want || int32(x.Check.Type) != want {
			t.Errorf("got %d, %d, %d, want %d", x.Executor.Type, x.HealthCheck.Type, x.Check.Type, want)
		}
	}
	launch, group := call.Accept.Operations[0].Launch.TaskInfos, call.Accept.Operations[1].LaunchGroup
	check(&launch[0], 0)
	check(&launch[1], explicitUnknown)
	check(&group.TaskGroup.Tasks[0], explicitUnknown)
	if group.Executor.Type != explicitUnknown {
		t.Errorf("the group's executor has type %d", group.Executor.Type)
	}
}
