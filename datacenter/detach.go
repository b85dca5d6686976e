package datacenter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// detachedVariable tells a detached `tombolo up` that its progress is read from file
// descriptor 3 until everything is up.
const detachedVariable = "TOMBOLO_DETACHED"

const (
	reportFD     = 3
	upMarker     = "@up"      // the line that ends a report when everything is up
	failedMarker = "@failed " // or else, before the quoted reason
)

// Detach starts the same command line again without --detach as a process of its own
// session, shows its progress, and returns when everything is up.
func Detach(ctx context.Context, config Config) error {
	if err := config.Check(ctx); err != nil {
		return err
	}
	if err := config.Dir.Make(); err != nil {
		return err
	}
	if err := os.MkdirAll(config.Dir.Logs(), 0o700); err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	log, err := os.OpenFile(config.Dir.Path("log", "up.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	defer log.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	defer read.Close()
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(arg string) bool { return strings.HasPrefix(arg, "--detach") })
	cmd := exec.Command(config.Binary, args...)
	cmd.Env = append(os.Environ(), detachedVariable+"=1")
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	write.Close()
	if err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	interrupted := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer interrupted()
	up, reason := relay(read, config.Out)
	if up && ctx.Err() == nil {
		return cmd.Process.Release()
	}
	ended := cmd.Wait()
	if reason != "" {
		return errors.New(reason)
	}
	return fmt.Errorf("nothing was left running: %w; see %s", ended, log.Name())
}

// relay shows a report until it ends, and tells whether everything is up, or else the
// reason why not if it was said.
func relay(report io.Reader, out io.Writer) (up bool, reason string) {
	lines := bufio.NewScanner(report)
	for lines.Scan() {
		line := lines.Text()
		quoted, failed := strings.CutPrefix(line, failedMarker)
		switch {
		case line == upMarker:
			up = true
		case failed:
			var err error
			if reason, err = strconv.Unquote(quoted); err != nil {
				reason = quoted
			}
		default:
			fmt.Fprintln(out, line)
		}
	}
	return up, reason
}

// Attach returns where progress goes, and a function that ends the report: with the
// error if there is one, or else saying that everything is up. They differ from out and
// nothing only in a detached process.
func Attach(out io.Writer) (io.Writer, func(error)) {
	if os.Getenv(detachedVariable) == "" {
		return out, func(error) {}
	}
	syscall.CloseOnExec(reportFD)
	report := os.NewFile(reportFD, "report")
	end := func(err error) {
		if err != nil {
			fmt.Fprintln(report, failedMarker+strconv.Quote(err.Error()))
		} else {
			fmt.Fprintln(report, upMarker)
		}
		report.Close()
	}
	return io.MultiWriter(out, report), end
}
