package podapi_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// echo is a service that answers with what it was given.
type echo struct {
	podapi.Service
	ran chan *podapi.RunPodRequest
}

func (e echo) RunPod(_ context.Context, request *podapi.RunPodRequest) (*podapi.RunPodResponse, error) {
	if request.TaskID == "" {
		return nil, status.Error(codes.NotFound, "no such task")
	}
	e.ran <- request
	return &podapi.RunPodResponse{}, nil
}

func (e echo) Logs(request *podapi.LogsRequest, out podapi.LogSender) error {
	return out.Send(&podapi.Chunk{Data: []byte(request.Container)})
}

func (e echo) Exec(stream podapi.ExecServer) error {
	for {
		input, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.Send(&podapi.ExecOutput{Exit: &podapi.ExecExit{Code: 3}})
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&podapi.ExecOutput{Stdout: input.Stdin}); err != nil {
			return err
		}
	}
}

type fixture struct {
	authority *podapi.Authority
	endpoint  podapi.Endpoint
	ran       chan *podapi.RunPodRequest
}

func serve(t *testing.T) fixture {
	t.Helper()
	authority, err := podapi.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	ca, _, err := authority.PEM()
	if err != nil {
		t.Fatal(err)
	}
	identity, err := podapi.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan *podapi.RunPodRequest, 1)
	server, err := podapi.NewServer(identity, ca, echo{ran: ran})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener) //nolint:errcheck // ends with Stop
	t.Cleanup(server.Stop)
	endpoint := podapi.Endpoint{
		Address:     listener.Addr().String(),
		Fingerprint: podapi.Fingerprint(identity.Certificate[0]),
	}
	return fixture{authority: authority, endpoint: endpoint, ran: ran}
}

func dial(t *testing.T, endpoint podapi.Endpoint, authority *podapi.Authority) *podapi.Client {
	t.Helper()
	certificate, err := authority.ClientCertificate()
	if err != nil {
		t.Fatal(err)
	}
	client, err := podapi.Dial(endpoint, certificate)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestRunPodCarriesTheBundle(t *testing.T) {
	f := serve(t)
	client := dial(t, f.endpoint, f.authority)
	bundle := podapi.Bundle{
		Pod:     &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "u1"}},
		Secrets: map[string]podapi.Secret{"s": {Data: map[string][]byte{"key": {0, 1, 255}}}},
	}
	if _, err := client.RunPod(t.Context(), &podapi.RunPodRequest{TaskID: "u1.0", Bundle: bundle}); err != nil {
		t.Fatal(err)
	}
	got := <-f.ran
	if got.TaskID != "u1.0" || got.Bundle.Pod.Name != "web" || string(got.Bundle.Secrets["s"].Data["key"]) != "\x00\x01\xff" {
		t.Fatalf("arrived changed: %+v", got)
	}
	_, err := client.RunPod(t.Context(), &podapi.RunPodRequest{})
	if status.Code(err) != codes.NotFound {
		t.Fatalf("got %v, want NotFound", err)
	}
}

func TestStreams(t *testing.T) {
	f := serve(t)
	client := dial(t, f.endpoint, f.authority)
	logs, err := client.Logs(t.Context(), &podapi.LogsRequest{Container: "main"})
	if err != nil {
		t.Fatal(err)
	}
	if chunk, err := logs.Recv(); err != nil || string(chunk.Data) != "main" {
		t.Fatalf("got %v, %v", chunk, err)
	}
	if _, err := logs.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("got %v, want EOF", err)
	}
	exec, err := client.Exec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Send(&podapi.ExecInput{Stdin: []byte("hi")}); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Recv(); err != nil || string(out.Stdout) != "hi" {
		t.Fatalf("got %v, %v", out, err)
	}
	if err := exec.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Recv(); err != nil || out.Exit == nil || out.Exit.Code != 3 {
		t.Fatalf("got %v, %v", out, err)
	}
}

// A stranger on either side gets nothing (design D14).
func TestStrangersAreRefused(t *testing.T) {
	f := serve(t)
	stranger, err := podapi.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]*podapi.Client{
		"client certificate of another authority": dial(t, f.endpoint, stranger),
		"server that is not the reported one": dial(t,
			podapi.Endpoint{Address: f.endpoint.Address, Fingerprint: podapi.Fingerprint([]byte("other"))}, f.authority),
	}
	anonymous, err := podapi.Dial(f.endpoint, tls.Certificate{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = anonymous.Close() })
	cases["client without certificate"] = anonymous
	for name, client := range cases {
		_, err := client.RunPod(t.Context(), &podapi.RunPodRequest{TaskID: "u1.0"})
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: got %v, want Unavailable", name, err)
		}
	}
	select {
	case <-f.ran:
		t.Fatal("a stranger ran a pod")
	default:
	}
}

func TestAuthorityRoundTrip(t *testing.T) {
	f := serve(t)
	certificate, key, err := f.authority.PEM()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := podapi.LoadAuthority(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, f.endpoint, loaded)
	if _, err := client.RunPod(t.Context(), &podapi.RunPodRequest{TaskID: "u.0", Bundle: podapi.Bundle{}}); err != nil {
		t.Fatal(err)
	}
}

func TestTaskID(t *testing.T) {
	id := podapi.TaskID("7f3a-b", 2)
	if id != "7f3a-b.2" || podapi.PodUID(id) != "7f3a-b" || podapi.PodUID("plain") != "plain" {
		t.Fatal(id, podapi.PodUID(id))
	}
}
