package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/tombolo-project/tombolo/frameworks/owner"
	"github.com/tombolo-project/tombolo/frameworks/placement"
)

// Handler is the HTTP API:
//
//	POST   /v1/jobs                              submit a Spec; 201 and the Job
//	GET    /v1/jobs                              all jobs, newest first
//	GET    /v1/jobs/{id}                         one job
//	DELETE /v1/jobs/{id}                         cancel it (202), or forget it when it has ended
//	GET    /v1/jobs/{id}/tasks                   its tasks
//	GET    /v1/jobs/{id}/tasks/{n}/logs/stdout   what a task's last try wrote (or stderr), as text
//	GET    /ping
//
// Refusals are {"message": one sentence}.
func (f *Framework) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/jobs", f.submitJob)
	mux.HandleFunc("GET /v1/jobs", f.listJobs)
	mux.HandleFunc("GET /v1/jobs/{id}", f.showJob)
	mux.HandleFunc("DELETE /v1/jobs/{id}", f.cancelJob)
	mux.HandleFunc("GET /v1/jobs/{id}/tasks", f.listTasks)
	mux.HandleFunc("GET /v1/jobs/{id}/tasks/{n}/logs/{file}", f.showLog)
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "pong") //nolint:errcheck // the client has gone
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, &Error{NotFound, fmt.Sprintf("%s %s is not part of this API", r.Method, r.URL.Path)})
	})
	return mux
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(body) //nolint:errcheck // the client has gone
}

var statuses = map[Kind]int{Malformed: http.StatusBadRequest, NotFound: http.StatusNotFound, Conflict: http.StatusConflict,
	Invalid: http.StatusUnprocessableEntity}

func writeError(w http.ResponseWriter, err error) {
	status, text := http.StatusInternalServerError, err.Error()
	var refusal *Error
	var away *owner.Unavailable
	var agent *agentError
	switch {
	case errors.As(err, &refusal):
		status = statuses[refusal.Kind]
	case errors.As(err, &away):
		status, text = http.StatusServiceUnavailable, text+"; the request may still take effect"
	case errors.As(err, &agent):
		status = http.StatusBadGateway
	case errors.Is(err, owner.ErrStopped), errors.Is(err, context.Canceled):
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, map[string]string{"message": text})
}

func (f *Framework) submitJob(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSpec))
	if err != nil {
		writeError(w, &Error{Malformed, fmt.Sprintf("a job must not be larger than %d bytes", maxSpec)})
		return
	}
	spec, err := ParseSpec(body)
	if err != nil {
		writeError(w, err)
		return
	}
	id := spec.Name + "-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:8]
	if err := f.Do(r.Context(), Submit{id, spec}); err != nil {
		writeError(w, err)
		return
	}
	job, _, err := f.find(r.Context(), id)
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Location", "/v1/jobs/"+id)
	writeJSON(w, http.StatusCreated, job)
}

// find copies a job and its tasks out of the core.
func (f *Framework) find(ctx context.Context, id string) (Job, []*Task, error) {
	var found *Job
	var tasks []*Task
	err := f.Look(ctx, func() {
		if j := f.core.jobs[id]; j != nil {
			view := f.core.view(j)
			found, tasks = &view, slices.Clone(j.tasks)
		}
	})
	if err != nil {
		return Job{}, nil, err
	}
	if found == nil {
		return Job{}, nil, &Error{NotFound, fmt.Sprintf("there is no job %s", id)}
	}
	return *found, tasks, nil
}

// view is the job with the reason why tasks of it wait.
func (c *Core) view(j *job) Job {
	v := j.Job
	if v.State != JobRunning || v.Counts.Pending == 0 || j.room() <= 0 || v.Counts.Active > 0 {
		return v
	}
	refused := map[placement.Reason]int{}
	for _, reason := range j.lastRefused {
		refused[reason]++
	}
	switch {
	case !c.appetite.IsConnected():
		v.Reason = "not connected to the Mesos master"
	case len(refused) > 0 || v.Reason == "":
		v.Reason = "waiting: " + placement.Sentence(refused)
	}
	return v
}

func (f *Framework) listJobs(w http.ResponseWriter, r *http.Request) {
	jobs := []Job{}
	err := f.Look(r.Context(), func() {
		for _, j := range f.core.jobs {
			jobs = append(jobs, f.core.view(j))
		}
	})
	if err != nil {
		writeError(w, err)
		return
	}
	slices.SortFunc(jobs, func(a, b Job) int {
		if n := b.Created.Compare(a.Created); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	writeJSON(w, http.StatusOK, map[string]any{"jobs": jobs})
}

func (f *Framework) showJob(w http.ResponseWriter, r *http.Request) {
	job, _, err := f.find(r.Context(), r.PathValue("id"))
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, job)
}

func (f *Framework) cancelJob(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if err := f.Do(r.Context(), Cancel{id}); err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusAccepted, map[string]string{"id": id})
}

func (f *Framework) listTasks(w http.ResponseWriter, r *http.Request) {
	_, tasks, err := f.find(r.Context(), r.PathValue("id"))
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"tasks": tasks})
}

func (f *Framework) showLog(w http.ResponseWriter, r *http.Request) {
	job, tasks, err := f.find(r.Context(), r.PathValue("id"))
	if err != nil {
		writeError(w, err)
		return
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	file := r.PathValue("file")
	switch {
	case err != nil || n < 0 || n >= len(tasks):
		writeError(w, &Error{NotFound, fmt.Sprintf("job %s has no task %q; its tasks are 0 to %d", job.ID, r.PathValue("n"), len(tasks)-1)})
		return
	case file != "stdout" && file != "stderr":
		writeError(w, &Error{NotFound, fmt.Sprintf("a task has the logs stdout and stderr, not %q", file)})
		return
	case tasks[n].Attempt == 0:
		writeError(w, &Error{Conflict, fmt.Sprintf("task %d of job %s has not been launched yet", n, job.ID)})
		return
	}
	if err := f.copyLog(r.Context(), w, tasks[n], file); err != nil {
		writeError(w, err)
	}
}
