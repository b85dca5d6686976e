package pod

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/tombolo-project/tombolo/executor/pod/streaming"
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
	start := first.Start
	switch {
	case start == nil:
		return status.Error(codes.InvalidArgument, "the first message of the stream must be its start")
	case !start.Stdin && !start.Stdout && !start.Stderr:
		return status.Error(codes.InvalidArgument, "at least one of stdin, stdout and stderr must be asked for")
	}
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
	pipe := newExecPipe(stream, start)
	defer pipe.stdin.Close() // lets receive go
	go pipe.receive(cancel)
	code, err := streaming.Run(ctx, address, pipe.process())
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return stream.Send(&podapi.ExecOutput{Exit: &podapi.ExecExit{Code: code}})
}

// execPipe turns messages into streams and back.
type execPipe struct {
	stream podapi.ExecServer
	start  *podapi.ExecStart
	stdin  *io.PipeReader
	input  *io.PipeWriter
	sizes  chan streaming.Size
	sends  sync.Mutex // guards stream.Send: stdout and stderr are written by two goroutines
}

func newExecPipe(stream podapi.ExecServer, start *podapi.ExecStart) *execPipe {
	p := &execPipe{stream: stream, start: start, sizes: make(chan streaming.Size, 16)}
	p.stdin, p.input = io.Pipe()
	return p
}

func (p *execPipe) process() streaming.Process {
	var out streaming.Process
	if p.start.Stdin {
		out.Stdin = p.stdin
	}
	if p.start.Stdout {
		out.Stdout = p.writer(func(data []byte) *podapi.ExecOutput { return &podapi.ExecOutput{Stdout: data} })
	}
	if p.start.Stderr && !p.start.TTY {
		out.Stderr = p.writer(func(data []byte) *podapi.ExecOutput { return &podapi.ExecOutput{Stderr: data} })
	}
	if p.start.TTY {
		out.Sizes = p.sizes
	}
	return out
}

func (p *execPipe) writer(wrap func([]byte) *podapi.ExecOutput) io.Writer {
	return chunkWriter(func(data []byte) error {
		p.sends.Lock()
		defer p.sends.Unlock()
		return p.stream.Send(wrap(data))
	})
}

// receive takes in what the bridge sends until it ends the stream; a broken stream gives up the command.
func (p *execPipe) receive(cancel func()) {
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
			p.resize(streaming.Size{Width: message.Size.Width, Height: message.Size.Height})
		}
		if len(message.Stdin) > 0 && p.start.Stdin {
			if _, err := p.input.Write(message.Stdin); err != nil {
				continue // the process has ended or wants no more; sizes may still come
			}
		}
		if message.StdinEOF {
			_ = p.input.Close()
		}
	}
}

// resize queues a size; if too many wait, the oldest is of no interest any more.
func (p *execPipe) resize(size streaming.Size) {
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
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	sandbox, err := s.sandboxOf(ctx, first.TaskID)
	if err != nil {
		return err
	}
	port := int32(first.Port) //nolint:gosec // checked above
	response, err := s.x.runtime.runtime.PortForward(ctx, &cri.PortForwardRequest{PodSandboxId: sandbox, Port: []int32{port}})
	if err != nil {
		return err
	}
	in, input := io.Pipe()
	defer in.Close() // lets the copying goroutine go
	go func() {
		message, err := first, error(nil)
		for err == nil {
			if _, err := input.Write(message.Data); err != nil {
				return
			}
			message, err = stream.Recv()
		}
		if errors.Is(err, io.EOF) {
			_ = input.Close() // the bridge has nothing more to send; answers may still come
		} else {
			cancel()
		}
	}()
	out := chunkWriter(func(piece []byte) error { return stream.Send(&podapi.Chunk{Data: piece}) })
	if err := streaming.Forward(ctx, response.Url, first.Port, in, out); err != nil {
		return status.Errorf(codes.Unavailable, "port-forward to port %d: %v", first.Port, err)
	}
	return nil
}
