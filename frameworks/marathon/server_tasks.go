package marathon

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// listTasks is GET /v2/tasks[?status=running|staging].
func (f *Framework) listTasks(r *request) (answer, error) {
	var wanted []string
	for _, status := range append(r.URL.Query()["status"], r.URL.Query()["status[]"]...) {
		wanted = append(wanted, "TASK_"+strings.ToUpper(status))
	}
	tasks := r.state.tasks("")
	tasks = slices.DeleteFunc(tasks, func(t taskView) bool { return len(wanted) > 0 && !slices.Contains(wanted, t.State) })
	return ok(map[string]any{"tasks": tasks})
}

func (f *Framework) appTasks(r *request, id string) (answer, error) {
	if group, wild := strings.CutSuffix(id, "/*"); wild && r.Method == http.MethodGet {
		tasks := r.state.tasks("")
		tasks = slices.DeleteFunc(tasks, func(t taskView) bool { return !strings.HasPrefix(t.AppID, group+"/") })
		return ok(map[string]any{"tasks": tasks})
	}
	if r.state.apps[id] == nil {
		return answer{}, notFound("App '%s' does not exist", id)
	}
	switch r.Method {
	case http.MethodGet:
		return ok(map[string]any{"tasks": r.state.tasks(id)})
	case http.MethodDelete:
		host := r.URL.Query().Get("host")
		return f.killTasks(r, id, func(i *Instance) bool { return host == "" || host == "*" || i.Host == host })
	}
	return notAllowed(r)
}

func (f *Framework) appTask(r *request, id, task string) (answer, error) {
	if r.Method != http.MethodDelete {
		return notAllowed(r)
	}
	matches := func(i *Instance) bool { return i.TaskID == task || i.ID == task }
	if r.state.apps[id] == nil {
		return answer{}, notFound("App '%s' does not exist", id)
	}
	if !slices.ContainsFunc(r.state.byApp[id], matches) {
		return answer{}, notFound("Task '%s' does not exist", task)
	}
	a, err := f.killTasks(r, id, matches)
	if list, isList := a.body.(map[string]any); err == nil && isList {
		if tasks := list["tasks"].([]taskView); len(tasks) == 1 {
			a.body = map[string]any{"task": tasks[0]}
		}
	}
	return a, err
}

// deleteTasks is POST /v2/tasks/delete with {"ids": [...]}.
func (f *Framework) deleteTasks(r *request) (answer, error) {
	var body struct {
		IDs []string `json:"ids"`
	}
	if err := json.Unmarshal(r.body, &body); err != nil {
		return answer{}, invalidJSON(r.body, err)
	}
	ids := map[string]bool{}
	for _, id := range body.IDs {
		if !strings.Contains(id, ".instance-") {
			return answer{}, &Error{Kind: Malformed, Message: fmt.Sprintf("Invalid task id '%s'.", id)}
		}
		ids[id] = true
	}
	return f.killTasks(r, "", func(i *Instance) bool { return ids[i.TaskID] || ids[i.ID] })
}

// killTasks kills what choose names, with ?scale taking the apps down by as many; without, it answers the tasks.
func (f *Framework) killTasks(r *request, app string, choose func(*Instance) bool) (answer, error) {
	if r.flag("scale", false) && r.flag("wipe", false) {
		return answer{}, &Error{Kind: Malformed, Message: "You cannot use scale and wipe at the same time."}
	}
	deployment := uuid.NewString()
	var chosen []*Instance
	scale := r.flag("scale", false)
	err := f.Do(r.Context(), KillInstances{App: app, Choose: choose, Scale: scale, Force: r.flag("force", false),
		Deployment: deployment, Chosen: &chosen})
	if err != nil {
		return answer{}, err
	}
	if scale {
		return deployed(http.StatusOK, deployment)
	}
	tasks := []taskView{}
	for _, i := range chosen {
		tasks = append(tasks, r.state.task(i))
	}
	return ok(map[string]any{"tasks": tasks})
}

func (f *Framework) listDeployments(r *request) (answer, error) {
	list := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(r.state.deployments)) {
		list = append(list, deploymentView(r.state.deployments[id]))
	}
	return ok(list)
}

func (f *Framework) deleteDeployment(r *request) (answer, error) {
	force, rollback := r.flag("force", false), uuid.NewString()
	if err := f.Do(r.Context(), CancelDeployment{ID: r.PathValue("id"), Rollback: rollback, Force: force}); err != nil {
		return answer{}, err
	}
	if force {
		return answer{status: http.StatusAccepted}, nil
	}
	return deployed(http.StatusOK, rollback)
}

func (f *Framework) listQueue(r *request) (answer, error) {
	items := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(r.state.queue)) {
		if r.state.apps[id] != nil {
			items = append(items, r.state.queueItem(id))
		}
	}
	return ok(map[string]any{"queue": items})
}

// deleteDelay is DELETE /v2/queue/<id>/delay.
func (f *Framework) deleteDelay(r *request) (answer, error) {
	id, found := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v2/queue"), "/delay")
	if !found {
		return notAllowed(r)
	}
	if err := f.Do(r.Context(), ResetDelay{CanonicalID(id)}); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

func (f *Framework) showInfo(r *request) (answer, error) {
	_, port, _ := strings.Cut(f.Address(), ":")
	return ok(map[string]any{
		"name": "marathon", "version": Version, "buildref": "tombolo", "elected": true, "leader": f.Address(),
		"frameworkId": r.state.frameworkID,
		"marathon_config": map[string]any{"master": f.Master, "framework_name": f.Name, "hostname": f.Host,
			"mesos_role": f.Role, "mesos_user": f.User, "checkpoint": true, "ha": false,
			"failover_timeout": int64(f.Failover / time.Second), "features": []string{},
			"local_port_min": servicePortMin, "local_port_max": servicePortMax},
		"zookeeper_config": map[string]any{},
		"http_config":      map[string]any{"http_port": port, "https_port": nil},
	})
}

func (f *Framework) leader(*request) (answer, error) {
	return ok(map[string]string{"leader": f.Address()})
}

// metrics is GET /metrics and /metrics/prometheus, in Prometheus's text form.
func (f *Framework) metrics(w http.ResponseWriter, r *http.Request) {
	var s *snapshot
	if err := f.Look(r.Context(), func() { s = f.core.snapshot(time.Now()) }); err != nil {
		writeError(w, err)
		return
	}
	registry := prometheus.NewRegistry()
	gauge := func(name, help string, value int) {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "marathon_" + name, Help: help})
		g.Set(float64(value))
		registry.MustRegister(g)
	}
	counts := map[string]int{}
	queued := 0
	for _, list := range s.byApp {
		for _, i := range list {
			counts[i.State]++
		}
	}
	for _, w := range s.queue {
		queued += w.Count
	}
	connected := 0
	if s.connected {
		connected = 1
	}
	gauge("apps_active_gauge", "Apps that are defined.", len(s.apps))
	gauge("deployments_active_gauge", "Deployments in progress.", len(s.deployments))
	gauge("instances_running_gauge", "Instances that run.", counts[running])
	gauge("instances_staged_gauge", "Instances that were launched and don't run yet.", counts[staging]+counts["TASK_STARTING"])
	gauge("instances_unreachable_gauge", "Instances on agents that can't be reached.", counts[unreachable])
	gauge("instances_queued_gauge", "Instances that wait for an offer or for a back-off.", queued)
	gauge("mesos_connected_gauge", "1 while subscribed to the master.", connected)
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}
