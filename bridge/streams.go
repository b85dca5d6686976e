package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/virtual-kubelet/virtual-kubelet/errdefs"
	vkapi "github.com/virtual-kubelet/virtual-kubelet/node/api"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	utilexec "k8s.io/utils/exec"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

func notFound(format string, args ...any) error {
	return errdefs.NotFound(fmt.Sprintf(format, args...))
}

// explain turns an executor's answer into an error that the kubelet API's handlers know.
func explain(err error) error {
	switch message := status.Convert(err).Message(); status.Code(err) {
	case codes.OK:
		return nil
	case codes.NotFound:
		return errdefs.NotFound(message)
	case codes.InvalidArgument, codes.FailedPrecondition:
		return errdefs.InvalidInput(message)
	default:
		return errors.New(message)
	}
}

func (n nodeAPI) exec(ctx context.Context, namespace, pod, container string, command []string, attach vkapi.AttachIO) error {
	client, task, err := n.find(namespace, pod, container)
	if err != nil {
		return err
	}
	start := &podapi.ExecStart{TaskID: task, Container: container, Command: command}
	return stream(ctx, client.Exec, start, attach)
}

func (n nodeAPI) attach(ctx context.Context, namespace, pod, container string, attach vkapi.AttachIO) error {
	client, task, err := n.find(namespace, pod, container)
	if err != nil {
		return err
	}
	return stream(ctx, client.Attach, &podapi.ExecStart{TaskID: task, Container: container}, attach)
}

// stream runs one exec or attach: what comes from the caller goes to the executor, and back, until the process ends.
func stream(ctx context.Context, open func(context.Context) (podapi.ExecClient, error), start *podapi.ExecStart, attach vkapi.AttachIO) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	remote, err := open(ctx)
	if err != nil {
		return explain(err)
	}
	start.TTY, start.Stdin = attach.TTY(), attach.Stdin() != nil
	start.Stdout, start.Stderr = attach.Stdout() != nil, attach.Stderr() != nil
	input := make(chan *podapi.ExecInput)
	go sendInput(ctx, cancel, remote, input)
	if !offer(ctx, input, &podapi.ExecInput{Start: start}) {
		return ctx.Err()
	}
	if start.Stdin {
		go readInput(ctx, attach.Stdin(), input)
	}
	if start.TTY {
		go readSizes(ctx, attach.Resize(), input)
	}
	for {
		output, err := remote.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the executor ended the stream without an exit code")
		}
		if err != nil {
			return explain(err)
		}
		if output.Exit != nil {
			if output.Exit.Code == 0 {
				return nil
			}
			return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", output.Exit.Code), Code: output.Exit.Code}
		}
		if err := writeOutput(attach, output); err != nil {
			return fmt.Errorf("write to the caller: %w", err)
		}
	}
}

// sendInput is the one sender of the stream, as gRPC wants it.
func sendInput(ctx context.Context, cancel context.CancelFunc, remote podapi.ExecClient, input <-chan *podapi.ExecInput) {
	for {
		select {
		case <-ctx.Done():
			return
		case message := <-input:
			if remote.Send(message) != nil {
				// Recv tells why; only a stream that nobody reads any more must be ended here.
				if ctx.Err() != nil {
					cancel()
				}
				return
			}
		}
	}
}

func offer(ctx context.Context, input chan<- *podapi.ExecInput, message *podapi.ExecInput) bool {
	select {
	case input <- message:
		return true
	case <-ctx.Done():
		return false
	}
}

func readInput(ctx context.Context, from io.Reader, input chan<- *podapi.ExecInput) {
	for {
		buffer := make([]byte, podapi.MaxChunk)
		count, err := from.Read(buffer)
		if count > 0 && !offer(ctx, input, &podapi.ExecInput{Stdin: buffer[:count]}) {
			return
		}
		if err != nil {
			offer(ctx, input, &podapi.ExecInput{StdinEOF: true})
			return
		}
	}
}

func readSizes(ctx context.Context, sizes <-chan vkapi.TermSize, input chan<- *podapi.ExecInput) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-sizes:
			if !ok || !offer(ctx, input, &podapi.ExecInput{Size: &podapi.TerminalSize{Width: size.Width, Height: size.Height}}) {
				return
			}
		}
	}
}

func writeOutput(attach vkapi.AttachIO, output *podapi.ExecOutput) error {
	if len(output.Stdout) > 0 && attach.Stdout() != nil {
		if _, err := attach.Stdout().Write(output.Stdout); err != nil {
			return err
		}
	}
	if len(output.Stderr) > 0 && attach.Stderr() != nil {
		if _, err := attach.Stderr().Write(output.Stderr); err != nil {
			return err
		}
	}
	return nil
}

// portForward carries one connection to a port of a pod.
func (n nodeAPI) portForward(ctx context.Context, namespace, pod string, port int32, local io.ReadWriteCloser) error {
	client, task, err := n.find(namespace, pod, "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	remote, err := client.PortForward(ctx)
	if err != nil {
		return explain(err)
	}
	if err := remote.Send(&podapi.ForwardInput{TaskID: task, Port: int(port)}); err != nil && !errors.Is(err, io.EOF) {
		return explain(err)
	}
	go func() {
		buffer := make([]byte, podapi.MaxChunk)
		for {
			count, err := local.Read(buffer)
			if count > 0 && remote.Send(&podapi.ForwardInput{Data: append([]byte(nil), buffer[:count]...)}) != nil {
				return // Recv tells why
			}
			if err != nil {
				_ = remote.CloseSend() // the pod's side sees the end; Recv tells the rest
				return
			}
		}
	}()
	for {
		chunk, err := remote.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return explain(err)
		}
		if _, err := local.Write(chunk.Data); err != nil {
			return nil //nolint:nilerr // the caller has hung up, which is how a forwarded connection ends
		}
	}
}
