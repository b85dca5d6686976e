package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Limits of reading logs from agents.
const (
	agentTimeout  = 30 * time.Second
	maxAgentState = 64 << 20
	maxLog        = 256 << 20 // bytes of one log that are passed on
)

// agentError says that an agent could not be asked.
type agentError struct {
	host string
	err  error
}

func (e *agentError) Error() string {
	return fmt.Sprintf("ask agent %s for the log: %v", e.host, e.err)
}
func (e *agentError) Unwrap() error { return e.err }

// copyLog passes a file of the task's sandbox on. The error, if any, came before the first byte was written.
func (f *Framework) copyLog(ctx context.Context, w http.ResponseWriter, t *Task, file string) error {
	directory, err := f.sandbox(ctx, t)
	if err != nil {
		return err
	}
	body, err := f.open(ctx, t, "/files/download?"+url.Values{"path": {directory + "/" + file}}.Encode())
	if err != nil {
		return err
	}
	defer body.Close()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	if _, err := io.Copy(w, io.LimitReader(body, maxLog)); err != nil {
		f.Log.Debug("a log was not passed on to its end", "task_id", t.TaskID, "error", err)
	}
	return nil
}

// sandbox asks the agent's /state for the directory of the task's executor, whose id is the task's.
func (f *Framework) sandbox(ctx context.Context, t *Task) (string, error) {
	type executor struct {
		ID        string `json:"id"`
		Directory string `json:"directory"`
	}
	type framework struct {
		Executors []executor `json:"executors"`
		Completed []executor `json:"completed_executors"`
	}
	var state struct {
		Frameworks []framework `json:"frameworks"`
		Completed  []framework `json:"completed_frameworks"`
	}
	if err := f.ask(ctx, t, "/state", &state); err != nil {
		return "", err
	}
	for _, fw := range append(state.Frameworks, state.Completed...) {
		for _, e := range append(fw.Executors, fw.Completed...) {
			if e.ID == t.TaskID {
				return e.Directory, nil
			}
		}
	}
	return "", &Error{NotFound, fmt.Sprintf("agent %s does not know the sandbox of task %s any more", t.Host, t.TaskID)}
}

func (f *Framework) ask(ctx context.Context, t *Task, path string, answer any) error {
	body, err := f.open(ctx, t, path)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxAgentState)).Decode(answer); err != nil {
		return &agentError{t.Host, err}
	}
	return nil
}

// open gets a path of the task's agent.
func (f *Framework) open(ctx context.Context, t *Task, path string) (io.ReadCloser, error) {
	if t.Address == "" {
		return nil, &agentError{t.Host, fmt.Errorf("its address is not known")}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.Address+path, nil)
	if err != nil {
		return nil, &agentError{t.Host, err}
	}
	response, err := f.agents.Do(request)
	if err != nil {
		return nil, &agentError{t.Host, err}
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, &agentError{t.Host, fmt.Errorf("it answers %s", response.Status)}
	}
	return response.Body, nil
}
