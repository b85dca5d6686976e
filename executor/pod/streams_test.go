package pod

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// session is an exec or attach under test.
type session struct {
	t      *testing.T
	stream podapi.ExecClient
}

func (r *rig) exec(pod *corev1.Pod, start podapi.ExecStart) session {
	r.t.Helper()
	stream, err := r.client.Exec(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	start.TaskID, start.Container = r.task(pod), "c0"
	s := session{t: r.t, stream: stream}
	s.send(&podapi.ExecInput{Start: &start})
	return s
}

func (s session) send(input *podapi.ExecInput) {
	s.t.Helper()
	if err := s.stream.Send(input); err != nil {
		s.t.Fatal(err)
	}
}

// finish reads all output to the end.
func (s session) finish() (stdout, stderr string, code int) {
	s.t.Helper()
	code = -1
	for {
		out, err := s.stream.Recv()
		if errors.Is(err, io.EOF) {
			return stdout, stderr, code
		}
		if err != nil {
			s.t.Fatalf("after %q: %v", stdout+stderr, err)
		}
		stdout, stderr = stdout+string(out.Stdout), stderr+string(out.Stderr)
		if out.Exit != nil {
			code = out.Exit.Code
		}
	}
}

func TestExec(t *testing.T) {
	r := newRig(t)
	pod := newPod("exec", forever)
	r.run(pod)
	r.awaitReady(pod)

	s := r.exec(pod, podapi.ExecStart{Command: []string{"sh", "-c", "cat; echo err >&2; exit 7"}, Stdin: true, Stdout: true, Stderr: true})
	long := strings.Repeat("0123456789", 20_000)
	for rest := long; rest != ""; {
		piece := rest[:min(len(rest), podapi.MaxChunk)]
		s.send(&podapi.ExecInput{Stdin: []byte(piece)})
		rest = rest[len(piece):]
	}
	s.send(&podapi.ExecInput{StdinEOF: true})
	stdout, stderr, code := s.finish()
	if stdout != long || stderr != "err\n" || code != 7 {
		t.Errorf("stdout %d bytes, stderr %q, code %d", len(stdout), stderr, code)
	}

	s = r.exec(pod, podapi.ExecStart{Command: []string{"sh"}, Stdin: true, Stdout: true, TTY: true})
	s.send(&podapi.ExecInput{Size: &podapi.TerminalSize{Width: 123, Height: 45}})
	s.send(&podapi.ExecInput{Stdin: []byte("while [ \"$(stty size)\" != '45 123' ]; do sleep 0.1; done; echo it is $((40 + 2)); exit 5\n")})
	stdout, _, code = s.finish()
	if !strings.Contains(stdout, "it is 42\r\n") || code != 5 {
		t.Errorf("terminal showed %q, code %d", stdout, code)
	}

	s = r.exec(pod, podapi.ExecStart{Command: []string{"/no/such"}, Stdout: true, Stderr: true})
	if _, err := s.stream.Recv(); err == nil {
		t.Error("a command that does not exist ran")
	}
	stream, err := r.client.Exec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&podapi.ExecInput{Start: &podapi.ExecStart{TaskID: r.task(pod), Container: "other", Command: []string{"ls"}, Stdout: true}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.NotFound {
		t.Errorf("exec in an unknown container: %v", err)
	}
}

func TestAttach(t *testing.T) {
	r := newRig(t)
	pod := newPod("attach", "while read line; do echo got $line; done; sleep 0.5; exit 4")
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	pod.Spec.Containers[0].Stdin, pod.Spec.Containers[0].StdinOnce = true, true
	r.run(pod)
	r.awaitReady(pod)
	stream, err := r.client.Attach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := session{t: t, stream: stream}
	s.send(&podapi.ExecInput{Start: &podapi.ExecStart{TaskID: r.task(pod), Container: "c0", Stdin: true, Stdout: true, Stderr: true}})
	s.send(&podapi.ExecInput{Stdin: []byte("one\ntwo\n")})
	s.send(&podapi.ExecInput{StdinEOF: true})
	stdout, _, _ := s.finish()
	if stdout != "got one\ngot two\n" {
		t.Errorf("attached to %q", stdout)
	}
}

func TestLogs(t *testing.T) {
	r := newRig(t)
	pod := newPod("logs", "for i in 1 2 3 4 5; do echo line $i; done; until [ -e /tmp/go ]; do sleep 0.1; done; echo end; "+forever)
	r.run(pod)
	r.awaitReady(pod)
	eventually(t, "five lines", func() bool {
		text, _ := r.logs(pod, "c0")
		return strings.Count(text, "\n") == 5
	})
	two, eight := int64(2), int64(8)
	if text, err := r.logs(pod, "c0", func(q *podapi.LogsRequest) { q.TailLines = &two }); err != nil || text != "line 4\nline 5\n" {
		t.Errorf("tail: %q, %v", text, err)
	}
	if text, err := r.logs(pod, "c0", func(q *podapi.LogsRequest) { q.LimitBytes = &eight }); err != nil || text != "line 1\nl" {
		t.Errorf("limit: %q, %v", text, err)
	}
	text, err := r.logs(pod, "c0", func(q *podapi.LogsRequest) { q.Timestamps, q.TailLines = true, &two })
	stamp, rest, _ := strings.Cut(text, " ")
	if at, parseErr := time.Parse(time.RFC3339Nano, stamp); err != nil || parseErr != nil || time.Since(at) > time.Hour || !strings.HasPrefix(rest, "line 4\n") {
		t.Errorf("timestamps: %q, %v, %v", text, err, parseErr)
	}
	if _, err := r.logs(pod, "c0", func(q *podapi.LogsRequest) { q.Previous = true }); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("previous of a first run: %v", err)
	}

	followed := make(chan string)
	go func() {
		text, err := r.logs(pod, "c0", func(q *podapi.LogsRequest) { q.Follow = true; q.TailLines = new(int64) })
		if err != nil {
			text = err.Error()
		}
		followed <- text
	}()
	r.exec(pod, podapi.ExecStart{Command: []string{"touch", "/tmp/go"}, Stdout: true}).finish()
	eventually(t, "end", func() bool {
		text, _ := r.logs(pod, "c0")
		return strings.HasSuffix(text, "end\n")
	})
	r.kill(pod, 10*time.Second)
	select {
	case text := <-followed:
		if text != "end\nbye\n" {
			t.Errorf("followed %q", text)
		}
	case <-time.After(patience):
		t.Error("following does not end with the container")
	}
}

func TestStats(t *testing.T) {
	r := newRig(t)
	pod := newPod("stats", "while true; do :; done")
	pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("200m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
	}
	r.run(pod)
	r.awaitReady(pod)
	eventually(t, "CPU use of about 200m", func() bool {
		response, err := r.client.Stats(t.Context(), &podapi.StatsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		pods := response.Summary.Pods
		if len(pods) != 1 || pods[0].CPU == nil || pods[0].Memory == nil || *pods[0].Memory.WorkingSetBytes == 0 {
			return false
		}
		node := response.Summary.Node
		if *node.CPU.UsageCoreNanoSeconds < *pods[0].CPU.UsageCoreNanoSeconds/2 || *node.Memory.UsageBytes == 0 {
			t.Errorf("the node uses less than its pod: %+v", node)
		}
		nanos := *pods[0].CPU.UsageNanoCores
		return pods[0].PodRef.Name == "stats" && nanos > 50e6 && nanos < 400e6
	})
}
