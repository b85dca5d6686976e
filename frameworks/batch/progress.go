package batch

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Progress shows how far a job is: a bar that is drawn over itself on a terminal, else a line for each change.
type Progress struct {
	Out      io.Writer
	Terminal bool

	last string
}

const barWidth = 30

// Show draws the job's counts.
func (p *Progress) Show(j Job) {
	line := summary(j)
	if line == p.last {
		return
	}
	p.last = line
	if !p.Terminal {
		fmt.Fprintln(p.Out, line)
		return
	}
	full := barWidth * (j.Counts.Finished + j.Counts.Failed + j.Counts.Canceled) / max(1, j.Tasks)
	fmt.Fprintf(p.Out, "\r\x1b[K[%s%s] %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), line)
}

// Done ends the bar.
func (p *Progress) Done() {
	if p.Terminal && p.last != "" {
		fmt.Fprintln(p.Out)
	}
}

func summary(j Job) string {
	line := fmt.Sprintf("%s: %d/%d finished", j.ID, j.Counts.Finished, j.Tasks)
	for _, part := range []struct {
		n    int
		what string
	}{{j.Counts.Active, "active"}, {j.Counts.Pending, "pending"}, {j.Counts.Failed, "failed"}, {j.Counts.Canceled, "canceled"}} {
		if part.n > 0 {
			line += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	if j.Reason != "" && (j.Counts.Active == 0 || j.Counts.Failed > 0) && j.Counts.Finished < j.Tasks {
		line += " (" + j.Reason + ")"
	}
	return line
}

// Timers of waiting for a job.
const (
	pollInterval = 200 * time.Millisecond
	patience     = 2 * time.Minute // with a server that does not answer
)

// Wait follows a job until it has ended. A server that goes away for a while (it may be restarting) is waited for.
func (c *Client) Wait(ctx context.Context, id string, show func(Job)) (Job, error) {
	var lastAnswer = time.Now()
	for {
		job, err := c.Job(ctx, id)
		switch {
		case ctx.Err() != nil:
			return job, ctx.Err()
		case err == nil:
			lastAnswer = time.Now()
			show(job)
			if job.State != JobRunning {
				return job, nil
			}
		case strings.HasPrefix(err.Error(), "there is no job") || time.Since(lastAnswer) > patience:
			return job, err
		}
		select {
		case <-ctx.Done():
			return job, ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}
