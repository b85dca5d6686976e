package podapi

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// serviceName is the gRPC service, versioned so that a later executor can serve two.
const serviceName = "tombolo.podapi.v1.Pods"

// maxMessage bounds one message: a bundle may hold several ConfigMaps and Secrets of 1 MiB each, in base64.
const maxMessage = 64 << 20

// Streams of the service, named for what they carry. Exec and Attach follow the protocol of ExecInput and ExecOutput.
type (
	// LogSender sends pieces of a log to the bridge.
	LogSender = grpc.ServerStreamingServer[Chunk]
	// ExecServer is the executor's end of an Exec or Attach.
	ExecServer = grpc.BidiStreamingServer[ExecInput, ExecOutput]
	// ForwardServer is the executor's end of one forwarded connection.
	ForwardServer = grpc.BidiStreamingServer[ForwardInput, Chunk]
	// LogReceiver is the bridge's end of Logs; Recv ends with io.EOF.
	LogReceiver = grpc.ServerStreamingClient[Chunk]
	// ExecClient is the bridge's end of an Exec or Attach.
	ExecClient = grpc.BidiStreamingClient[ExecInput, ExecOutput]
	// ForwardClient is the bridge's end of one forwarded connection.
	ForwardClient = grpc.BidiStreamingClient[ForwardInput, Chunk]
)

// Service is what the pod executor serves. Errors are gRPC statuses: NotFound (no such task or container here),
// InvalidArgument (the pod asks for something unsupported, named in the message), FailedPrecondition (not now: the pod has no
// sandbox yet, no previous instance ...), Unavailable (the container runtime does not answer).
type Service interface {
	RunPod(context.Context, *RunPodRequest) (*RunPodResponse, error)
	UpdatePod(context.Context, *UpdatePodRequest) (*UpdatePodResponse, error)
	ForgetPod(context.Context, *ForgetPodRequest) (*ForgetPodResponse, error)
	Pods(context.Context, *PodsRequest) (*PodsResponse, error)
	Stats(context.Context, *StatsRequest) (*StatsResponse, error)
	Logs(*LogsRequest, LogSender) error
	Exec(ExecServer) error
	Attach(ExecServer) error
	PortForward(ForwardServer) error
}

// NewServer is a gRPC server for the service that lets in only clients with a certificate of the bridge's authority
// (PEM, from ExecutorData). The caller serves it on a listener and stops it.
func NewServer(identity tls.Certificate, bridgeCA []byte, service Service) (*grpc.Server, error) {
	config, err := serverTLS(identity, bridgeCA)
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(config)),
		grpc.ForceServerCodecV2(jsonCodec{}),
		grpc.MaxRecvMsgSize(maxMessage),
	)
	server.RegisterService(&description, service)
	return server, nil
}

var description = grpc.ServiceDesc{
	ServiceName: serviceName,
	HandlerType: (*Service)(nil),
	Methods: []grpc.MethodDesc{
		unary("RunPod", Service.RunPod),
		unary("UpdatePod", Service.UpdatePod),
		unary("ForgetPod", Service.ForgetPod),
		unary("Pods", Service.Pods),
		unary("Stats", Service.Stats),
	},
	Streams: []grpc.StreamDesc{
		{StreamName: "Logs", ServerStreams: true, Handler: func(srv any, stream grpc.ServerStream) error {
			request := new(LogsRequest)
			if err := stream.RecvMsg(request); err != nil {
				return err
			}
			return srv.(Service).Logs(request, &grpc.GenericServerStream[LogsRequest, Chunk]{ServerStream: stream})
		}},
		bidi("Exec", Service.Exec),
		bidi("Attach", Service.Attach),
		bidi("PortForward", Service.PortForward),
	},
}

func unary[Req, Res any](name string, call func(Service, context.Context, *Req) (*Res, error)) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(
		srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor,
	) (any, error) {
		request := new(Req)
		if err := decode(request); err != nil {
			return nil, err
		}
		if intercept == nil {
			return call(srv.(Service), ctx, request)
		}
		info := &grpc.UnaryServerInfo{Server: srv, FullMethod: method(name)}
		return intercept(ctx, request, info, func(ctx context.Context, request any) (any, error) {
			return call(srv.(Service), ctx, request.(*Req))
		})
	}}
}

func bidi[Req, Res any](name string, call func(Service, grpc.BidiStreamingServer[Req, Res]) error) grpc.StreamDesc {
	return grpc.StreamDesc{
		StreamName: name, ServerStreams: true, ClientStreams: true,
		Handler: func(srv any, stream grpc.ServerStream) error {
			return call(srv.(Service), &grpc.GenericServerStream[Req, Res]{ServerStream: stream})
		},
	}
}

func method(name string) string { return "/" + serviceName + "/" + name }

// Client calls the pod executor of one agent. It is safe for concurrent use.
type Client struct {
	conn *grpc.ClientConn
}

// Dial prepares a client for the executor at the endpoint; it connects with the first call and reconnects by itself. The
// client certificate comes from Authority.ClientCertificate. Another executor at that address is refused: a call then ends
// with Unavailable.
func Dial(endpoint Endpoint, certificate tls.Certificate) (*Client, error) {
	conn, err := grpc.NewClient("passthrough:///"+endpoint.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(clientTLS(certificate, endpoint.Fingerprint))),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(jsonCodec{}), grpc.MaxCallRecvMsgSize(maxMessage)),
	)
	if err != nil {
		return nil, fmt.Errorf("dial pod executor %s: %w", endpoint.Address, err)
	}
	return &Client{conn: conn}, nil
}

// Close ends all calls.
func (c *Client) Close() error { return c.conn.Close() }

// RunPod hands over the bundle of a launched task; see RunPodRequest.
func (c *Client) RunPod(ctx context.Context, request *RunPodRequest) (*RunPodResponse, error) {
	return invoke[RunPodResponse](ctx, c, "RunPod", request)
}

// UpdatePod hands over a changed bundle; see UpdatePodRequest.
func (c *Client) UpdatePod(ctx context.Context, request *UpdatePodRequest) (*UpdatePodResponse, error) {
	return invoke[UpdatePodResponse](ctx, c, "UpdatePod", request)
}

// ForgetPod drops what the executor keeps of a terminal pod; see ForgetPodRequest.
func (c *Client) ForgetPod(ctx context.Context, request *ForgetPodRequest) (*ForgetPodResponse, error) {
	return invoke[ForgetPodResponse](ctx, c, "ForgetPod", request)
}

// Pods lists the executor's pods.
func (c *Client) Pods(ctx context.Context, request *PodsRequest) (*PodsResponse, error) {
	return invoke[PodsResponse](ctx, c, "Pods", request)
}

// Stats reads the statistics of all pods of the executor.
func (c *Client) Stats(ctx context.Context, request *StatsRequest) (*StatsResponse, error) {
	return invoke[StatsResponse](ctx, c, "Stats", request)
}

// Logs opens a container's log. Cancel ctx to stop following.
func (c *Client) Logs(ctx context.Context, request *LogsRequest) (LogReceiver, error) {
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method("Logs"))
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(request); err != nil {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	return &grpc.GenericClientStream[LogsRequest, Chunk]{ClientStream: stream}, nil
}

// Exec opens a stream for one command; the caller sends ExecInput.Start first. Cancel ctx to give up.
func (c *Client) Exec(ctx context.Context) (ExecClient, error) {
	return open[ExecInput, ExecOutput](ctx, c, "Exec")
}

// Attach opens a stream to a container's main process; the caller sends ExecInput.Start first.
func (c *Client) Attach(ctx context.Context) (ExecClient, error) {
	return open[ExecInput, ExecOutput](ctx, c, "Attach")
}

// PortForward opens a stream for one connection to a port of a pod; the caller sends task and port first.
func (c *Client) PortForward(ctx context.Context) (ForwardClient, error) {
	return open[ForwardInput, Chunk](ctx, c, "PortForward")
}

func invoke[Res any](ctx context.Context, c *Client, name string, request any) (*Res, error) {
	response := new(Res)
	if err := c.conn.Invoke(ctx, method(name), request, response); err != nil {
		return nil, err
	}
	return response, nil
}

func open[Req, Res any](ctx context.Context, c *Client, name string) (grpc.BidiStreamingClient[Req, Res], error) {
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method(name))
	if err != nil {
		return nil, err
	}
	return &grpc.GenericClientStream[Req, Res]{ClientStream: stream}, nil
}

// jsonCodec writes gRPC messages as JSON.
type jsonCodec struct{}

var _ encoding.CodecV2 = jsonCodec{}

// Name is the content subtype on the wire.
func (jsonCodec) Name() string { return "json" }

// Marshal writes v as one buffer.
func (jsonCodec) Marshal(v any) (mem.BufferSlice, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return mem.BufferSlice{mem.SliceBuffer(data)}, nil
}

// Unmarshal reads v.
func (jsonCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if err := json.Unmarshal(data.Materialize(), v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}
