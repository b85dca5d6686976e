// Package streaming talks to the streaming server of a container runtime: it runs or attaches to a process, and forwards a
// connection to a port of a pod. The runtime gives the address in its answer to CRI's Exec, Attach and PortForward; the
// protocols are SPDY's, as Kubernetes defines them (v4.channel.k8s.io and portforward.k8s.io).
//
// Start reading at Run.
package streaming

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/apimachinery/pkg/util/httpstream/spdy"
)

// The protocols that this package speaks. v4 reports exit codes.
const (
	processProtocol = "v4.channel.k8s.io"
	forwardProtocol = "portforward.k8s.io"
)

// Size is a terminal's, in characters. Its fields are named as the protocol wants them.
type Size struct {
	Width, Height uint16
}

// Process is what is joined with a process: nil streams are not opened.
type Process struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Sizes are the sizes of the terminal; nil if there is none. Run reads it until ctx ends.
	Sizes <-chan Size
}

// Run joins the process at the address until it ends, and returns its exit code. Ending ctx breaks the connection; what that
// does to the process is the container runtime's business.
func Run(ctx context.Context, address string, p Process) (exitCode int, err error) {
	conn, err := dial(ctx, address, processProtocol)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	failures, err := open(conn, corev1.StreamTypeError)
	if err != nil {
		return 0, err
	}
	result := make(chan outcome, 1)
	go func() { result <- readOutcome(failures) }()
	if err := p.connect(ctx, conn); err != nil {
		return 0, err
	}
	select {
	case o := <-result:
		return o.code, o.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// connect opens the process's streams and copies until all output has been written. Input goes on beside.
func (p Process) connect(ctx context.Context, conn httpstream.Connection) error {
	var outputs sync.WaitGroup
	failed := make(chan error, 2)
	output := func(kind string, to io.Writer) error {
		if to == nil {
			return nil
		}
		stream, err := open(conn, kind)
		if err != nil {
			return err
		}
		outputs.Add(1)
		go func() {
			defer outputs.Done()
			if _, err := io.Copy(to, stream); err != nil {
				failed <- fmt.Errorf("copy %s: %w", kind, err)
				_ = conn.Close()
			}
		}()
		return nil
	}
	// All streams are opened before anything is copied: the runtime waits for them.
	var stdin, sizes httpstream.Stream
	var err error
	if p.Stdin != nil {
		if stdin, err = open(conn, corev1.StreamTypeStdin); err != nil {
			return err
		}
	}
	if err := errors.Join(output(corev1.StreamTypeStdout, p.Stdout), output(corev1.StreamTypeStderr, p.Stderr)); err != nil {
		return err
	}
	if p.Sizes != nil {
		if sizes, err = open(conn, corev1.StreamTypeResize); err != nil {
			return err
		}
		go sendSizes(ctx, sizes, p.Sizes)
	}
	if stdin != nil {
		go func() {
			_, _ = io.Copy(stdin, p.Stdin) // a process that reads no more is no failure
			_ = stdin.Close()
		}()
	}
	outputs.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func sendSizes(ctx context.Context, stream httpstream.Stream, sizes <-chan Size) {
	encoder := json.NewEncoder(stream)
	for {
		select {
		case size := <-sizes:
			if encoder.Encode(size) != nil {
				return // the process has ended
			}
		case <-ctx.Done():
			return
		}
	}
}

// outcome is how a process ended.
type outcome struct {
	code int
	err  error
}

// readOutcome reads the error stream, which brings one metav1.Status at the end.
func readOutcome(stream io.Reader) outcome {
	text, err := io.ReadAll(io.LimitReader(stream, 64<<10))
	if err != nil {
		return outcome{err: fmt.Errorf("the container runtime's answer: %w", err)}
	}
	var status metav1.Status
	if len(text) == 0 {
		return outcome{}
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return outcome{err: fmt.Errorf("the container runtime says %q", text)}
	}
	if status.Status == metav1.StatusSuccess {
		return outcome{}
	}
	if status.Reason == "NonZeroExitCode" && status.Details != nil {
		for _, cause := range status.Details.Causes {
			if cause.Type != "ExitCode" {
				continue
			}
			if code, err := strconv.Atoi(cause.Message); err == nil {
				return outcome{code: code}
			}
		}
	}
	return outcome{err: errors.New(status.Message)}
}

// Forward joins in and out with a connection to the port within the pod. It returns when the pod's side has ended; what the
// runtime reports as failure (nobody listens) is the error.
func Forward(ctx context.Context, address string, port int, in io.Reader, out io.Writer) error {
	conn, err := dial(ctx, address, forwardProtocol)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	headers := []string{corev1.PortHeader, strconv.Itoa(port), corev1.PortForwardRequestIDHeader, "0"}
	failures, err := open(conn, corev1.StreamTypeError, headers...)
	if err != nil {
		return err
	}
	if err := failures.Close(); err != nil { // nothing is written to it
		return fmt.Errorf("close our half of the error stream: %w", err)
	}
	data, err := open(conn, corev1.StreamTypeData, headers...)
	if err != nil {
		return err
	}
	failure := make(chan error, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(failures, 4<<10))
		if len(text) > 0 {
			err = errors.New(string(text))
		}
		failure <- err
	}()
	go func() {
		_, _ = io.Copy(data, in) // a pod that reads no more is no failure
		_ = data.Close()
	}()
	if _, err := io.Copy(out, data); err != nil {
		return fmt.Errorf("copy from the pod: %w", err)
	}
	select {
	case err := <-failure:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dial opens a SPDY connection that speaks the protocol.
func dial(ctx context.Context, address, protocol string) (httpstream.Connection, error) {
	transport, err := spdy.NewRoundTripper(nil)
	if err != nil {
		return nil, fmt.Errorf("streaming: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return nil, fmt.Errorf("the container runtime's streaming address: %w", err)
	}
	request.Header.Set(httpstream.HeaderProtocolVersion, protocol)
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, fmt.Errorf("stream to the container runtime: %w", err)
	}
	defer response.Body.Close()
	conn, err := transport.NewConnection(response)
	if err != nil {
		return nil, fmt.Errorf("stream to the container runtime: %w", err)
	}
	if got := response.Header.Get(httpstream.HeaderProtocolVersion); got != protocol {
		_ = conn.Close()
		return nil, fmt.Errorf("the container runtime speaks %q, not %q", got, protocol)
	}
	return conn, nil
}

// open opens a stream of a kind, with further pairs of headers.
func open(conn httpstream.Connection, kind string, pairs ...string) (httpstream.Stream, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, kind)
	for i := 0; i+1 < len(pairs); i += 2 {
		headers.Set(pairs[i], pairs[i+1])
	}
	stream, err := conn.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("open the %s stream: %w", kind, err)
	}
	return stream, nil
}
