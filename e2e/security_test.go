package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tombolo-project/tombolo/e2e/harness"
)

// The secrets of the closed datacenter; none may be seen anywhere.
var secrets = map[string]string{"ops": "hunter2-ops", "low": "hunter2-low", "agent": "hunter2-agent", "marathon": "hunter2-marathon", "key": "hunter2-key"}

// closed is a datacenter in which everybody must say who they are, over TLS.
type closed struct {
	t      *testing.T
	dir    string
	client *http.Client
	master string
	agent  string
}

func (c *closed) file(name, content string) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// certificate makes a certificate for loopback that is its own authority. It returns the flags for it, and has the
// client trust it.
func (c *closed) certificate() []string {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e"}, IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		c.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	c.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	cert := c.file("host.pem", string(text))
	return []string{"--tls_cert_file=" + cert, "--tls_ca_file=" + cert,
		"--tls_key_file=" + c.file("host.key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})))}
}

// get asks as a principal, as nobody if it is empty.
func (c *closed) get(url, principal string) (int, string, error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if principal != "" {
		request.SetBasicAuth(principal, secrets[principal])
	}
	answer, err := c.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

const closedACLs = `{"permissive": false,
 "register_agents": [{"principals": {"values": ["agent"]}, "agents": {"type": "ANY"}}],
 "register_frameworks": [{"principals": {"values": ["marathon"]}, "roles": {"values": ["web"]}}],
 "run_tasks": [{"principals": {"values": ["marathon"]}, "users": {"values": ["root"]}}],
 "view_frameworks": [{"principals": {"values": ["ops"]}, "users": {"type": "ANY"}}],
 "view_tasks": [{"principals": {"values": ["ops"]}, "users": {"type": "ANY"}}],
 "view_executors": [{"principals": {"values": ["ops"]}, "users": {"type": "ANY"}}],
 "view_flags": [{"principals": {"values": ["ops"]}, "flags": {"type": "ANY"}}],
 "get_endpoints": [{"principals": {"values": ["ops"]}, "paths": {"type": "ANY"}}],
 "access_sandboxes": [{"principals": {"values": ["ops"]}, "users": {"type": "ANY"}}],
 "view_containers": [{"principals": {"values": ["ops"]}, "users": {"type": "ANY"}}],
 "view_roles": [{"principals": {"values": ["ops"]}, "roles": {"type": "ANY"}}]}`

// startClosed starts a master, an agent and Marathon, and returns them and Marathon's URL.
func startClosed(t *testing.T) (*closed, string) {
	t.Helper()
	c := &closed{t: t, dir: t.TempDir()}
	var list []map[string]string
	for principal, secret := range secrets {
		list = append(list, map[string]string{"principal": principal, "secret": secret})
	}
	document, err := json.Marshal(map[string]any{"credentials": list})
	if err != nil {
		t.Fatal(err)
	}
	credentials, acls := c.file("credentials", string(document)), c.file("acls", closedACLs)
	key, over := c.file("key", secrets["key"]), c.certificate()
	tombolo, port := harness.Bin(t, "tombolo"), func() string { return strconv.Itoa(harness.FreePort(t, "127.0.0.1")) }
	mp, ap, fp := port(), port(), port()
	c.master, c.agent = "https://127.0.0.1:"+mp, "https://127.0.0.1:"+ap
	harness.Start(t, c.dir, "master", append([]string{tombolo, "master", "--ip=127.0.0.1", "--port=" + mp, "--registry=in_memory", "--credentials=" + credentials,
		"--acls=" + acls, "--authenticate_agents", "--authenticate_frameworks", "--authenticate_http_readonly", "--authenticate_http_readwrite",
		"--authenticate_http_frameworks", "--http_framework_authenticators=basic"}, over...)...)
	work := filepath.Join(c.dir, "work")
	harness.Start(t, c.dir, "agent", append([]string{tombolo, "agent", "--master=127.0.0.1:" + mp, "--ip=127.0.0.1", "--port=" + ap, "--work_dir=" + work,
		"--runtime_dir=" + filepath.Join(work, "run"), "--launcher_dir=" + filepath.Dir(harness.Bin(t, "tombolo-executor")), "--isolation=posix/cpu,posix/mem",
		"--resources=" + harness.AgentResources, "--credential=" + c.file("agent.secret", "agent "+secrets["agent"]+"\n"), "--http_credentials=" + credentials,
		"--acls=" + acls, "--jwt_secret_key=" + key, "--authenticate_http_readonly", "--authenticate_http_readwrite", "--authenticate_http_executors"}, over...)...)
	harness.Start(t, c.dir, "marathon", tombolo, "marathon", "--master=127.0.0.1:"+mp, "--ip=127.0.0.1", "--port="+fp, "--role=web",
		"--state=file://"+filepath.Join(c.dir, "state"), "--principal=marathon", "--secret-file="+c.file("secret", secrets["marathon"]+"\n"), over[1])
	return c, "http://127.0.0.1:" + fp
}

func TestAClosedDatacenter(t *testing.T) {
	c, marathon := startClosed(t)
	app := `{"id": "/x", "cmd": "env >out; exec sleep 1000", "cpus": 0.1, "mem": 32, "instances": 1}`
	harness.Eventually(t, 60*time.Second, "the app is taken", func() error {
		status, text, err := harness.Do(http.MethodPut, marathon+"/v2/apps/x", app)
		if err == nil && status/100 != 2 {
			err = fmt.Errorf("%d %s", status, text)
		}
		return err
	})
	harness.Eventually(t, 60*time.Second, "its task runs", func() error { return c.shows(c.master+"/tasks", "TASK_RUNNING", true) })
	t.Cleanup(func() { // the executor would outlive its agent, as it should
		if _, _, err := harness.Do(http.MethodDelete, marathon+"/v2/apps/x", ""); err != nil {
			t.Error(err)
		}
		harness.Eventually(t, 60*time.Second, "nothing runs", func() error { return c.shows(c.agent+"/containers", "container_id", false) })
	})
	for _, base := range []string{c.master, c.agent} {
		c.door(base)
	}
	c.sandbox()
	for _, name := range []string{"master", "agent", "marathon"} {
		log, err := os.ReadFile(filepath.Join(c.dir, name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		c.hides("the log of "+name, string(log))
	}
	c.arguments()
}

// shows checks whether ops finds a text in an answer.
func (c *closed) shows(url, text string, want bool) error {
	status, answer, err := c.get(url, "ops")
	if err == nil && (status != http.StatusOK || strings.Contains(answer, text) != want) {
		err = fmt.Errorf("%d %s", status, answer)
	}
	return err
}

// door tries the endpoints that master and agent have in common by every kind of principal.
func (c *closed) door(base string) {
	c.t.Helper()
	for path, want := range map[string]map[string]int{
		"/health": {"": 200, "low": 200, "ops": 200}, "/state": {"": 401, "low": 200, "ops": 200}, "/flags": {"": 401, "low": 403, "ops": 200},
		"/metrics/snapshot": {"": 401, "low": 403, "ops": 200}, "/version": {"": 401, "low": 200, "ops": 200},
	} {
		for principal, status := range want {
			got, text, err := c.get(base+path, principal)
			if err != nil || got != status {
				c.t.Errorf("%s%s by %q: %d, %v", base, path, principal, got, err)
			}
			if principal == "low" && strings.Contains(text, "sleep 1000") {
				c.t.Errorf("%s%s shows the app to who may see nothing", base, path)
			}
			c.hides(base+path, text)
		}
	}
	if status, _, err := c.get(strings.Replace(base, "https", "http", 1)+"/health", ""); err == nil && status == http.StatusOK {
		c.t.Errorf("%s answers without TLS", base)
	}
}

// hides checks that a text has no secret.
func (c *closed) hides(what, text string) {
	c.t.Helper()
	if i := strings.Index(text, "hunter2"); i >= 0 {
		c.t.Errorf("%s shows a secret: %.60q", what, text[i:])
	}
}

// sandbox looks into the task's own files: who may, and that the task has neither secrets nor its executor's token.
func (c *closed) sandbox() {
	c.t.Helper()
	_, text, err := c.get(c.agent+"/state", "ops")
	if err != nil {
		c.t.Fatal(err)
	}
	var state struct {
		Frameworks []struct {
			Executors []struct{ Directory string }
		}
	}
	if err := json.Unmarshal([]byte(text), &state); err != nil || len(state.Frameworks) != 1 || len(state.Frameworks[0].Executors) != 1 {
		c.t.Fatalf("%v: %s", err, text)
	}
	url := c.agent + "/files/read?offset=0&length=10000&path=" + state.Frameworks[0].Executors[0].Directory + "/out"
	for principal, want := range map[string]int{"": 401, "low": 403, "ops": 200} {
		status, text, err := c.get(url, principal)
		if err != nil || status != want {
			c.t.Errorf("the sandbox for %q: %d, %v", principal, status, err)
		}
		if want == 200 && (!strings.Contains(text, "MESOS_SANDBOX") || strings.Contains(text, "AUTHENTICATION_TOKEN")) {
			c.t.Errorf("the task's environment: %s", text)
		}
		c.hides("the sandbox", text)
	}
}

// arguments looks at the arguments of every process of this machine.
func (c *closed) arguments() {
	c.t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, file := range all {
		line, err := os.ReadFile(file)
		if err == nil { // else it has ended
			c.hides(file, string(bytes.ReplaceAll(line, []byte{0}, []byte(" "))))
		}
	}
}
