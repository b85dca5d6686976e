package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Client speaks the API of a batch framework.
type Client struct {
	Server string // http://host:port
	HTTP   *http.Client
}

// NewClient checks the server's address.
func NewClient(server string) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("server %q is not of the form http://HOST:PORT", server)
	}
	return &Client{Server: strings.TrimRight(server, "/"), HTTP: http.DefaultClient}, nil
}

// Submit starts a job.
func (c *Client) Submit(ctx context.Context, spec Spec) (Job, error) {
	var job Job
	return job, c.call(ctx, http.MethodPost, "/v1/jobs", spec, &job)
}

// Job asks for one job.
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	var job Job
	return job, c.call(ctx, http.MethodGet, "/v1/jobs/"+url.PathEscape(id), nil, &job)
}

// Jobs asks for all jobs, newest first.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	var answer struct{ Jobs []Job }
	err := c.call(ctx, http.MethodGet, "/v1/jobs", nil, &answer)
	return answer.Jobs, err
}

// Tasks asks for a job's tasks.
func (c *Client) Tasks(ctx context.Context, id string) ([]Task, error) {
	var answer struct{ Tasks []Task }
	err := c.call(ctx, http.MethodGet, "/v1/jobs/"+url.PathEscape(id)+"/tasks", nil, &answer)
	return answer.Tasks, err
}

// Cancel ends a job, or forgets one that has ended.
func (c *Client) Cancel(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/jobs/"+url.PathEscape(id), nil, nil)
}

// Log copies a task's stdout or stderr to w.
func (c *Client) Log(ctx context.Context, id string, task int, file string, w io.Writer) error {
	response, err := c.send(ctx, http.MethodGet, fmt.Sprintf("/v1/jobs/%s/tasks/%d/logs/%s", url.PathEscape(id), task, file), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(w, response.Body)
	return err
}

func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	response, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("the answer of %s is not what a batch framework says: %w", c.Server, err)
	}
	return nil
}

// send returns an answer of 2xx; anything else becomes an error with the server's sentence.
func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(mustJSON(body))
	}
	request, err := http.NewRequestWithContext(ctx, method, c.Server+path, content)
	if err != nil {
		return nil, err
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no batch framework answers at %s: %w", c.Server, err)
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	var refusal struct{ Message string }
	if json.Unmarshal(text, &refusal) == nil && refusal.Message != "" {
		return nil, fmt.Errorf("%s", refusal.Message)
	}
	return nil, fmt.Errorf("%s answers %s", c.Server, response.Status)
}
