package processes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
	// steady is how long a process must run for its next failure to count as a first one.
	steady = time.Minute
)

// Supervisor keeps processes running: one that ends is started again, after a pause
// that doubles from a second to half a minute while it keeps failing. A process that an
// earlier supervisor of the same directory left running from the same Spec is taken
// over as it is.
type Supervisor struct {
	runDir, logDir string
	log            *slog.Logger
	backoff        func(failures int) time.Duration

	mutex     sync.Mutex // guards running
	running   []*process // in order of start
	accepting bool
}

// New returns a supervisor with its pid and command files in runDir (mode 0700) and
// the processes' output in logDir.
func New(runDir, logDir string, log *slog.Logger) (*Supervisor, error) {
	for _, dir := range []string{runDir, logDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("supervisor: %w", err)
		}
	}
	return &Supervisor{runDir: runDir, logDir: logDir, log: log, backoff: backoff, accepting: true}, nil
}

func backoff(failures int) time.Duration {
	return min(maxBackoff, minBackoff<<min(failures, 10))
}

// process is one Spec and the goroutine that keeps it running.
type process struct {
	spec   Spec
	super  *Supervisor
	cancel context.CancelFunc
	done   chan struct{} // closed when nothing of it runs any more

	abandon atomic.Bool // not to be started again
}

// handle is one life of a process, ours or taken over. ended is closed when it is over.
type handle struct {
	pid   int
	fd    int   // pidfd
	log   int64 // size of the log when it began
	ended chan struct{}
	how   string // set before ended is closed
}

// Start starts the process, or takes over the one that runs already, and returns when
// it is ready. A process that ends before it was ever ready is an error, and is not
// started again.
func (s *Supervisor) Start(ctx context.Context, spec Spec) error {
	if spec.Grace == 0 {
		spec.Grace = 10 * time.Second
	}
	if spec.Within == 0 {
		spec.Within = 60 * time.Second
	}
	first, err := s.adoptOrLaunch(spec)
	if err != nil {
		return err
	}
	keep, cancel := context.WithCancel(context.Background())
	p := &process{spec: spec, super: s, cancel: cancel, done: make(chan struct{})}
	s.mutex.Lock()
	if !s.accepting {
		s.mutex.Unlock()
		cancel()
		return errors.Join(fmt.Errorf("start %s: stopping", spec.Name), p.end(first))
	}
	s.running = append(s.running, p)
	s.mutex.Unlock()
	if err := p.waitReady(ctx, first); err != nil {
		close(p.done)
		cancel()
		return errors.Join(err, p.end(first))
	}
	go p.keep(keep, first)
	return nil
}

func (s *Supervisor) file(name, extension string) string {
	return filepath.Join(s.runDir, name+extension)
}

// LogPath is where the output of the process of this name goes.
func (s *Supervisor) LogPath(name string) string { return filepath.Join(s.logDir, name+".log") }

// Runs tells whether a process of this name runs, left by an earlier supervisor.
func (s *Supervisor) Runs(name string) bool {
	r, err := readRecord(s.file(name, ".pid"))
	if err != nil {
		return false
	}
	fd, err := r.open()
	if err != nil || fd < 0 {
		return false
	}
	unix.Close(fd)
	return true
}

func (s *Supervisor) adoptOrLaunch(spec Spec) (*handle, error) {
	h, err := s.adopt(spec)
	if err != nil || h != nil {
		return h, err
	}
	return s.launch(spec)
}

// adopt takes over a running process of the same Spec. One of another Spec under the
// same name is ended first.
func (s *Supervisor) adopt(spec Spec) (*handle, error) {
	path := s.file(spec.Name, ".pid")
	r, err := readRecord(path)
	if err != nil {
		return nil, err
	}
	fd, err := r.open()
	if err != nil || fd < 0 {
		return nil, err
	}
	if r.Command != spec.digest() {
		s.log.Info("ending a process that was started with other options", "part", spec.Name, "pid", r.PID)
		defer unix.Close(fd)
		return nil, terminate(fd, spec.Grace)
	}
	s.log.Info("took over a running process", "part", spec.Name, "pid", r.PID)
	h := &handle{pid: r.PID, fd: fd, ended: make(chan struct{})}
	go func() {
		h.how = "ended"
		if err := gone(context.Background(), fd); err != nil {
			h.how = err.Error()
		}
		close(h.ended)
	}()
	return h, nil
}

func (s *Supervisor) launch(spec Spec) (*handle, error) {
	if err := os.WriteFile(s.file(spec.Name, ".cmd"), []byte(spec.Command()+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write command of %s: %w", spec.Name, err)
	}
	cmd, begin, err := launch(spec, s.LogPath(spec.Name))
	if err != nil {
		return nil, err
	}
	h := &handle{pid: cmd.Process.Pid, log: begin, ended: make(chan struct{})}
	if h.fd, err = unix.PidfdOpen(h.pid, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", spec.Name, err), cmd.Process.Kill(), cmd.Wait())
	}
	r, err := recordOf(h.pid, spec.digest()) // before it is waited for: until then its pid is its own
	go func() {
		h.how = describe(cmd.Wait())
		close(h.ended)
	}()
	if errors.Is(err, os.ErrProcessDone) {
		return h, nil // ended already: waitReady and keep see that
	}
	if err == nil {
		err = r.write(s.file(spec.Name, ".pid"))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("record %s: %w", spec.Name, err), cmd.Process.Kill())
	}
	return h, nil
}

// describe says how a process ended.
func describe(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "exit status 0"
	case errors.As(err, &exit):
		return exit.Error()
	}
	return err.Error()
}

// waitReady asks Ready until it agrees, the process ends or the time is over.
func (p *process) waitReady(whole context.Context, h *handle) error {
	if p.spec.Ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(whole, p.spec.Within)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		if last = p.spec.Ready(ctx); last == nil {
			return nil
		}
		select {
		case <-h.ended:
			return fmt.Errorf("%s ended before it was ready (%s): %s (its log is %s)",
				p.spec.Name, h.how, lastLine(p.super.LogPath(p.spec.Name), h.log), p.super.LogPath(p.spec.Name))
		case <-ctx.Done():
			if err := whole.Err(); err != nil {
				return fmt.Errorf("start %s: %w", p.spec.Name, err)
			}
			return fmt.Errorf("%s is not ready after %s: %w; see %s", p.spec.Name, p.spec.Within, last, p.super.LogPath(p.spec.Name))
		case <-tick.C:
		}
	}
}

// keep starts the process again whenever it ends, until the context is over; then it
// ends the process.
func (p *process) keep(ctx context.Context, h *handle) {
	defer close(p.done)
	failures := 0
	for {
		since := time.Now()
		select {
		case <-h.ended:
			unix.Close(h.fd)
		case <-ctx.Done():
			if err := p.end(h); err != nil {
				p.super.log.Error("a part did not end", "part", p.spec.Name, "error", err)
			}
			return
		}
		if p.abandon.Load() {
			return
		}
		if time.Since(since) > steady {
			failures = 0
		}
		if h = p.again(ctx, h.how, &failures); h == nil {
			return
		}
	}
}

// again starts the process anew after a pause; nil when the context ends first.
func (p *process) again(ctx context.Context, how string, failures *int) *handle {
	for {
		pause := p.super.backoff(*failures)
		*failures++
		p.super.log.Warn("a part ended; starting it again", "part", p.spec.Name, "how", how, "in", pause.String())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		h, err := p.super.launch(p.spec)
		if err == nil {
			p.super.log.Info("started a part again", "part", p.spec.Name, "pid", h.pid)
			return h
		}
		how = err.Error()
	}
}

// end stops this life of the process and removes its pid file.
func (p *process) end(h *handle) error {
	defer unix.Close(h.fd)
	if err := terminate(h.fd, p.spec.Grace); err != nil {
		return fmt.Errorf("end %s: %w", p.spec.Name, err)
	}
	<-h.ended
	if err := os.Remove(p.super.file(p.spec.Name, ".pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("end %s: %w", p.spec.Name, err)
	}
	return nil
}

// Stop ends all processes, the last started first, each after the one before it is
// gone. Nothing can be started afterwards. It tells each name to progress.
func (s *Supervisor) Stop(progress func(name string)) {
	s.mutex.Lock()
	s.accepting = false
	running := slices.Clone(s.running)
	s.mutex.Unlock()
	for _, p := range slices.Backward(running) {
		progress(p.spec.Name)
		p.cancel()
		<-p.done
	}
}

// Abandon lets all processes run and looks after them no more, as if the supervisor had
// been killed.
func (s *Supervisor) Abandon() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.accepting = false
	for _, p := range s.running {
		p.abandon.Store(true)
	}
}

// lastLine is the last thing that a process said, in what its log has from an offset on.
func lastLine(path string, from int64) string {
	const limit = 2 << 10
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	data = bytes.TrimSpace(data[min(from, int64(len(data))):])
	line := data[bytes.LastIndexByte(data, '\n')+1:]
	if len(line) == 0 {
		return "it said nothing"
	}
	return string(line[:min(len(line), limit)])
}
