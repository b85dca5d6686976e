package pod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// Exec implements podapi.Service.
func (s *service) Exec(stream podapi.ExecServer) error {
	return s.remote(stream, func(ctx context.Context, instance string, start *podapi.ExecStart) (string, error) {
		if len(start.Command) == 0 {
			return "", status.Error(codes.InvalidArgument, "exec needs a command")
		}
		response, err := s.x.runtime.runtime.Exec(ctx, &cri.ExecRequest{
			ContainerId: instance, Cmd: start.Command, Tty: start.TTY,
			Stdin: start.Stdin, Stdout: start.Stdout, Stderr: start.Stderr && !start.TTY,
		})
		return response.GetUrl(), err
	})
}

// Attach implements podapi.Service.
func (s *service) Attach(stream podapi.ExecServer) error {
	return s.remote(stream, func(ctx context.Context, instance string, start *podapi.ExecStart) (string, error) {
		response, err := s.x.runtime.runtime.Attach(ctx, &cri.AttachRequest{
			ContainerId: instance, Tty: start.TTY,
			Stdin: start.Stdin, Stdout: start.Stdout, Stderr: start.Stderr && !start.TTY,
		})
		return response.GetUrl(), err
	})
}

// remote joins a stream of the bridge with one of the container runtime's streaming server, which prepare asks for.
func (s *service) remote(stream podapi.ExecServer, prepare func(context.Context, string, *podapi.ExecStart) (string, error)) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.Start == nil {
		return status.Error(codes.InvalidArgument, "the first message of the stream must be its start")
	}
	start := first.Start
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	instance, err := s.runningInstance(start.TaskID, start.Container)
	if err != nil {
		return err
	}
	address, err := prepare(ctx, instance, start)
	if err != nil {
		return err // a status of the container runtime
	}
	target, err := url.Parse(address)
	if err != nil {
		return status.Errorf(codes.Internal, "the container runtime's streaming address: %v", err)
	}
	executor, err := remotecommand.NewSPDYExecutor(&rest.Config{}, http.MethodPost, target)
	if err != nil {
		return status.Errorf(codes.Internal, "stream to the container runtime: %v", err)
	}
	pipe := newExecPipe(stream, start)
	go pipe.receive(cancel)
	err = executor.StreamWithContext(ctx, pipe.options())
	var exit exec.CodeExitError
	switch {
	case err == nil:
		return stream.Send(&podapi.ExecOutput{Exit: &podapi.ExecExit{}})
	case errors.As(err, &exit):
		return stream.Send(&podapi.ExecOutput{Exit: &podapi.ExecExit{Code: exit.Code}})
	default:
		return status.Errorf(codes.Internal, "%v", err)
	}
}

// execPipe turns messages into the streams that remotecommand wants.
type execPipe struct {
	stream podapi.ExecServer
	start  *podapi.ExecStart
	stdin  *io.PipeReader
	input  *io.PipeWriter
	sizes  chan remotecommand.TerminalSize
	done   chan struct{}
	sends  sync.Mutex // guards stream.Send: stdout and stderr are written by two goroutines
}

func newExecPipe(stream podapi.ExecServer, start *podapi.ExecStart) *execPipe {
	p := &execPipe{stream: stream, start: start, sizes: make(chan remotecommand.TerminalSize, 16), done: make(chan struct{})}
	p.stdin, p.input = io.Pipe()
	return p
}

func (p *execPipe) options() remotecommand.StreamOptions {
	options := remotecommand.StreamOptions{Tty: p.start.TTY}
	if p.start.Stdin {
		options.Stdin = p.stdin
	}
	if p.start.Stdout {
		options.Stdout = p.writer(func(data []byte) *podapi.ExecOutput { return &podapi.ExecOutput{Stdout: data} })
	}
	if p.start.Stderr && !p.start.TTY {
		options.Stderr = p.writer(func(data []byte) *podapi.ExecOutput { return &podapi.ExecOutput{Stderr: data} })
	}
	if p.start.TTY {
		options.TerminalSizeQueue = p
	}
	return options
}

func (p *execPipe) writer(wrap func([]byte) *podapi.ExecOutput) io.Writer {
	return chunkWriter(func(data []byte) error {
		p.sends.Lock()
		defer p.sends.Unlock()
		return p.stream.Send(wrap(data))
	})
}

// Next implements remotecommand.TerminalSizeQueue.
func (p *execPipe) Next() *remotecommand.TerminalSize {
	select {
	case size := <-p.sizes:
		return &size
	case <-p.done:
		return nil
	}
}

// receive takes in what the bridge sends until it ends the stream; a broken stream gives up the command.
func (p *execPipe) receive(cancel func()) {
	defer close(p.done)
	for {
		message, err := p.stream.Recv()
		if errors.Is(err, io.EOF) {
			_ = p.input.Close()
			return
		}
		if err != nil {
			_ = p.input.CloseWithError(err)
			cancel()
			return
		}
		if message.Size != nil {
			p.resize(remotecommand.TerminalSize{Width: message.Size.Width, Height: message.Size.Height})
		}
		if len(message.Stdin) > 0 && p.start.Stdin {
			// A reader that has gone makes the write fail: the command has ended, or wants no more.
			if _, err := p.input.Write(message.Stdin); err != nil {
				continue
			}
		}
		if message.StdinEOF {
			_ = p.input.Close()
		}
	}
}

// resize queues a size; if too many wait, the oldest is of no interest any more.
func (p *execPipe) resize(size remotecommand.TerminalSize) {
	for {
		select {
		case p.sizes <- size:
			return
		default:
		}
		select {
		case <-p.sizes:
		default:
		}
	}
}

// PortForward implements podapi.Service: the container runtime dials localhost within the pod's network.
func (s *service) PortForward(stream podapi.ForwardServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.Port < 1 || first.Port > 65535 {
		return status.Errorf(codes.InvalidArgument, "port %d is not a port", first.Port)
	}
	ctx := stream.Context()
	sandbox, err := s.sandboxOf(ctx, first.TaskID)
	if err != nil {
		return err
	}
	port := int32(first.Port) //nolint:gosec // checked above
	response, err := s.x.runtime.runtime.PortForward(ctx, &cri.PortForwardRequest{PodSandboxId: sandbox, Port: []int32{port}})
	if err != nil {
		return err
	}
	target, err := url.Parse(response.Url)
	if err != nil {
		return status.Errorf(codes.Internal, "the container runtime's streaming address: %v", err)
	}
	conn, err := dialForward(target)
	if err != nil {
		return status.Errorf(codes.Internal, "port-forward: %v", err)
	}
	defer conn.Close()
	data, failures, err := openForward(conn, first.Port)
	if err != nil {
		return status.Errorf(codes.Internal, "port-forward to port %d: %v", first.Port, err)
	}
	if len(first.Data) > 0 {
		if _, err := data.Write(first.Data); err != nil {
			return status.Errorf(codes.Internal, "port-forward to port %d: %v", first.Port, err)
		}
	}
	return join(stream, conn, data, failures, first.Port)
}

// dialForward opens a SPDY connection to the container runtime's streaming server.
func dialForward(target *url.URL) (httpstream.Connection, error) {
	transport, upgrader, err := spdy.RoundTripperFor(&rest.Config{})
	if err != nil {
		return nil, err
	}
	conn, _, err := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, target).Dial("portforward.k8s.io")
	return conn, err
}

// openForward opens the two streams of one forwarded connection: errors first, then data.
func openForward(conn httpstream.Connection, port int) (data, failures httpstream.Stream, err error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	if failures, err = conn.CreateStream(headers); err != nil {
		return nil, nil, err
	}
	if err := failures.Close(); err != nil { // we only read it
		return nil, nil, err
	}
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err = conn.CreateStream(headers)
	return data, failures, err
}

// join copies both ways until the pod's side has ended.
func join(stream podapi.ForwardServer, conn httpstream.Connection, data, failures httpstream.Stream, port int) error {
	failed := make(chan error, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(failures, 4<<10))
		switch {
		case len(text) > 0:
			failed <- fmt.Errorf("port %d: %s", port, text)
		default:
			failed <- err
		}
	}()
	go func() {
		for {
			message, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				_ = data.Close() // the bridge has nothing more to send
				return
			}
			if err == nil {
				_, err = data.Write(message.Data)
			}
			if err != nil {
				_ = conn.Close()
				return
			}
		}
	}()
	_, err := io.Copy(chunkWriter(func(piece []byte) error { return stream.Send(&podapi.Chunk{Data: piece}) }), data)
	if err != nil {
		return status.Errorf(codes.Internal, "port-forward to port %d: %v", port, err)
	}
	if err := <-failed; err != nil {
		return status.Errorf(codes.Unavailable, "port-forward: %v", err)
	}
	return nil
}
