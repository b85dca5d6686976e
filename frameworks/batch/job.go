package batch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tombolo-project/tombolo/frameworks/placement"
)

// Spec is what a job is to do, as POST /v1/jobs takes it.
type Spec struct {
	Name           string                 `json:"name"`
	Command        []string               `json:"command"` // argv; ["sh", "-c", "..."] for a shell
	Tasks          int                    `json:"tasks"`
	Cpus           float64                `json:"cpus"`
	Mem            float64                `json:"mem"`            // MiB
	Disk           float64                `json:"disk,omitempty"` // MiB
	Retries        int                    `json:"retries"`        // further tries of a task that failed
	Parallelism    int                    `json:"parallelism"`    // tasks at one time; 0 = as many as fit
	TimeoutSeconds int                    `json:"timeoutSeconds"` // of one try; 0 = none
	Env            map[string]string      `json:"env,omitempty"`
	User           string                 `json:"user,omitempty"`
	Constraints    []placement.Constraint `json:"constraints,omitempty"`
	URIs           []string               `json:"uris,omitempty"` // fetched into the sandbox
}

// Limits of a job and of the whole.
const (
	maxTasks     = 10_000
	maxRetries   = 1000
	maxSpec      = 256 << 10 // bytes of JSON
	maxJobs      = 1000      // jobs that have not ended
	maxEndedJobs = 500       // ended jobs that are remembered; the oldest are forgotten
)

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?$`)

// ParseSpec reads and checks a job. Fields that don't exist are refused. An error is one sentence.
func ParseSpec(body []byte) (Spec, error) {
	spec := Spec{Tasks: 1, Cpus: 1, Mem: 128}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&spec); err != nil {
		return spec, &Error{Malformed, explainJSON(err)}
	}
	if decoder.More() {
		return spec, &Error{Malformed, "the body is not JSON: something follows the job"}
	}
	return spec, spec.Validate()
}

func explainJSON(err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Sprintf("field %q must be %s, not %s", kind.Field, kind.Type, kind.Value)
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return "a job has no field " + name
	}
	return "the body is not a job in JSON: " + err.Error()
}

// Validate says in one sentence what is wrong with the job, and fills in an empty name.
func (s *Spec) Validate() error {
	refuse := func(format string, args ...any) error { return &Error{Invalid, fmt.Sprintf(format, args...)} }
	if s.Name == "" {
		s.Name = "job"
	}
	switch {
	case !nameForm.MatchString(s.Name):
		return refuse("name %q must be up to 63 letters, digits, dashes and underscores", s.Name)
	case len(s.Command) == 0 || s.Command[0] == "":
		return refuse("a job needs a command")
	case s.Tasks < 1 || s.Tasks > maxTasks:
		return refuse("tasks must be from 1 to %d, not %d", maxTasks, s.Tasks)
	case !(s.Cpus >= 0.001 && s.Cpus <= 1e6):
		return refuse("cpus must be at least 0.001, not %v", s.Cpus)
	case !(s.Mem >= 1 && s.Mem <= 1e9):
		return refuse("mem must be at least 1 (MiB), not %v", s.Mem)
	case !(s.Disk >= 0 && s.Disk <= 1e12):
		return refuse("disk must not be negative")
	case s.Retries < 0 || s.Retries > maxRetries:
		return refuse("retries must be from 0 to %d, not %d", maxRetries, s.Retries)
	case s.Parallelism < 0 || s.TimeoutSeconds < 0:
		return refuse("parallelism and timeoutSeconds must not be negative")
	case slices.Contains(s.URIs, ""):
		return refuse("a uri must not be empty")
	}
	for name := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return refuse("%q can't be the name of an environment variable", name)
		}
	}
	for _, c := range s.Constraints {
		if err := c.Validate(); err != nil {
			return refuse("%v", err)
		}
	}
	return nil
}

// JobState is where a job stands.
type JobState string

// The states of a job; all but Running are final.
const (
	JobRunning  JobState = "RUNNING" // or waiting for resources
	JobFinished JobState = "FINISHED"
	JobFailed   JobState = "FAILED"   // every task has ended, some of them badly
	JobCanceled JobState = "CANCELED" // by request; its tasks have ended
)

// Job is a job as the API shows it.
type Job struct {
	ID string `json:"id"`
	Spec
	State     JobState  `json:"state"`
	Canceling bool      `json:"canceling,omitempty"`
	Created   time.Time `json:"created"`
	Ended     time.Time `json:"ended,omitzero"`
	Counts    Counts    `json:"counts"`
	Reason    string    `json:"reason,omitempty"` // why tasks wait, or how the last one failed
}

// Counts says how many tasks are where; the sum is Spec.Tasks.
type Counts struct {
	Pending  int `json:"pending"`
	Active   int `json:"active"` // launched, running or dying
	Finished int `json:"finished"`
	Failed   int `json:"failed"`
	Canceled int `json:"canceled"`
}

// TaskState is where a task stands.
type TaskState string

// The states of a task; the last three are final.
const (
	TaskPending     TaskState = "PENDING"
	TaskLaunched    TaskState = "LAUNCHED" // sent to an agent, does not run yet
	TaskRunning     TaskState = "RUNNING"
	TaskUnreachable TaskState = "UNREACHABLE" // its agent can't be reached
	TaskFinished    TaskState = "FINISHED"
	TaskFailed      TaskState = "FAILED"
	TaskCanceled    TaskState = "CANCELED"
)

// Task is one task of a job. Values are immutable; the core replaces them.
type Task struct {
	Job      string    `json:"job"`
	Index    int       `json:"index"`
	State    TaskState `json:"state"`
	Attempt  int       `json:"attempt"`  // tries so far; 0 = none yet
	Failures int       `json:"failures"` // tries that failed
	Lost     int       `json:"lost"`     // tries that ended through no fault of the command
	TaskID   string    `json:"taskId,omitempty"`
	AgentID  string    `json:"agentId,omitempty"`
	Host     string    `json:"host,omitempty"`
	Address  string    `json:"address,omitempty"` // of the agent's HTTP endpoint
	Launched time.Time `json:"launched,omitzero"`
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Message  string    `json:"message,omitempty"` // of the last failure

	NotBefore   time.Time         `json:"notBefore,omitzero"`
	Unreachable time.Time         `json:"unreachableSince,omitzero"`
	Killing     bool              `json:"killing,omitempty"`
	KillSent    time.Time         `json:"killSent,omitzero"`
	Attributes  map[string]string `json:"attributes,omitempty"`
	Region      string            `json:"region,omitempty"`
	Zone        string            `json:"zone,omitempty"`
}

func (t *Task) place(field string) (string, bool) {
	return placement.Field(field, t.Host, t.Region, t.Zone, t.Attributes)
}

func (s TaskState) active() bool {
	return s == TaskLaunched || s == TaskRunning || s == TaskUnreachable
}

// Kind classifies refusals; server.go maps it to an HTTP status.
type Kind int

// The kinds of refusals.
const (
	Malformed Kind = iota // 400
	NotFound              // 404
	Conflict              // 409
	Invalid               // 422
)

// Error is a refusal: one sentence.
type Error struct {
	Kind    Kind
	Message string
}

func (e *Error) Error() string { return e.Message }
