package bridge

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
)

// reviewing is a fake cluster whose reviews come from an HTTP server, as the library that asks for them wants it. It knows
// two tokens: "admin", who may everything, and "guest", who may nothing.
type reviewing struct {
	*fake.Clientset
	reviews kubernetes.Interface
}

func (r reviewing) AuthenticationV1() authenticationclient.AuthenticationV1Interface {
	return r.reviews.AuthenticationV1()
}

func (r reviewing) AuthorizationV1() authorizationclient.AuthorizationV1Interface {
	return r.reviews.AuthorizationV1()
}

func newReviewing(t *testing.T) reviewing {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/tokenreviews", func(w http.ResponseWriter, r *http.Request) {
		review := authenticationv1.TokenReview{}
		answerReview(w, r, &review, func() {
			token := review.Spec.Token
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: token == "admin" || token == "guest", User: authenticationv1.UserInfo{Username: token}}
		})
	})
	mux.HandleFunc("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", func(w http.ResponseWriter, r *http.Request) {
		review := authorizationv1.SubjectAccessReview{}
		answerReview(w, r, &review, func() {
			review.Status.Allowed = review.Spec.User == "admin" && review.Spec.ResourceAttributes.Resource == "nodes"
		})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json", AcceptContentTypes: "application/json"}}
	return reviewing{fake.NewClientset(), kubernetes.NewForConfigOrDie(config)}
}

func answerReview(w http.ResponseWriter, r *http.Request, review any, decide func()) {
	if err := json.NewDecoder(r.Body).Decode(review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	decide()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(review)
}

// kubeletOf waits for a node and answers the base URL of its kubelet API.
func kubeletOf(t *testing.T, client kubernetes.Interface, node string) string {
	t.Helper()
	eventually(t, nodeReady(client, node))
	object, err := client.CoreV1().Nodes().Get(context.Background(), node, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range object.Status.Addresses {
		if a.Type == corev1.NodeInternalDNS {
			return "https://" + net.JoinHostPort(a.Address, strconv.Itoa(int(object.Status.DaemonEndpoints.KubeletEndpoint.Port)))
		}
	}
	t.Fatal("the node has no InternalDNS address")
	return ""
}

func get(t *testing.T, target, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	hc := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	answer, err := hc.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestD14_NobodyIsAnonymousAtTheKubeletAPI(t *testing.T) {
	client := newReviewing(t)
	start(t, client, newDatacenter(t, "one"), nil)
	base := kubeletOf(t, client, "one")
	for _, path := range []string{"/healthz", "/pods", "/stats/summary", "/metrics/resource", "/containerLogs/default/a/main", "/exec/default/a/main?command=id", "/nothing"} {
		for token, want := range map[string]int{"": http.StatusUnauthorized, "stolen": http.StatusUnauthorized, "guest": http.StatusForbidden} {
			if code, _ := get(t, base+path, token); code != want {
				t.Errorf("%s with token %q answers %d, want %d", path, token, code, want)
			}
		}
	}
	if code, body := get(t, base+"/healthz", "admin"); code != http.StatusOK || body != "ok" {
		t.Errorf("healthz answers %d %q", code, body)
	}
	if code, body := get(t, base+"/containerLogs/default/nobody/main", "admin"); code != http.StatusNotFound || !strings.Contains(body, "nobody") {
		t.Errorf("logs of a pod that is not there: %d %q", code, body)
	}
}

func TestLogsExecStatistics(t *testing.T) {
	client := newReviewing(t)
	start(t, client, newDatacenter(t, "one"), nil)
	base := kubeletOf(t, client, "one")
	if _, err := client.CoreV1().Pods("default").Create(context.Background(), bound("a", "one"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, running(client, "a"))
	if code, body := get(t, base+"/containerLogs/default/a/main?tailLines=3", "admin"); code != http.StatusOK || body != "log of main\n" {
		t.Errorf("logs: %d %q", code, body)
	}
	if code, body := get(t, base+"/containerLogs/default/a/other", "admin"); code != http.StatusNotFound || !strings.Contains(body, "other") {
		t.Errorf("logs of a container that is not there: %d %q", code, body)
	}
	if code, body := get(t, base+"/stats/summary", "admin"); code != http.StatusOK || !strings.Contains(body, `"nodeName":"one"`) || !strings.Contains(body, `"workingSetBytes":1048576`) {
		t.Errorf("summary: %d %q", code, body)
	}
	if code, body := get(t, base+"/metrics/resource", "admin"); code != http.StatusOK || !strings.Contains(body, `pod_cpu_usage_seconds_total{namespace="default",pod="a"} 2`) {
		t.Errorf("metrics: %d %q", code, body)
	}
	if err := execute(t, base, "hello", 0); err != nil {
		t.Error(err)
	}
	var exit utilexec.CodeExitError
	if err := execute(t, base, "hello", 7); !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("exit code 7 came back as %v", err)
	}
}

// execute runs the fake executor's echo through the kubelet API, as kubectl would.
func execute(t *testing.T, base, input string, code int) error {
	t.Helper()
	target, err := url.Parse(fmt.Sprintf("%s/exec/default/a/main?command=exit&command=%d&input=1&output=1", base, code))
	if err != nil {
		t.Fatal(err)
	}
	config := &rest.Config{Host: base, BearerToken: "admin", TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	executor, err := remotecommand.NewSPDYExecutor(config, http.MethodPost, target)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader(input), Stdout: &out})
	if got := out.String(); got != "heard "+input {
		t.Errorf("echo is %q", got)
	}
	return err
}

func TestLogsOptions(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	request, err := logsRequest(url.Values{
		"tailLines": {"0"}, "limitBytes": {"9"}, "sinceSeconds": {"5"}, "follow": {"true"}, "previous": {"1"}, "timestamps": {"false"}, "stream": {"All"},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	if request.TailLines == nil || *request.TailLines != 0 || *request.LimitBytes != 9 || !request.Follow || !request.Previous || request.Timestamps || !request.Since.Equal(now.Add(-5*time.Second)) {
		t.Errorf("the options are read as %+v", request)
	}
	if request, err = logsRequest(url.Values{}, now); err != nil || request.TailLines != nil || request.LimitBytes != nil || !request.Since.IsZero() {
		t.Errorf("no options are read as %+v, %v", request, err)
	}
	for _, bad := range []string{"tailLines=-1", "tailLines=x", "limitBytes=0", "sinceSeconds=0", "sinceTime=yesterday", "follow=maybe", "stream=Stdout", "sinceSeconds=1&sinceTime=2030-01-01T00:00:00Z"} {
		query, err := url.ParseQuery(bad)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(bad, "=")
		if _, err := logsRequest(query, now); err == nil || !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), "sinceTime") {
			t.Errorf("%s gives the error %v", bad, err)
		}
	}
}
