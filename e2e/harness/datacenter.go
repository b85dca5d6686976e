package harness

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Datacenter is what `tombolo up` starts, in a directory of its own. Its master has
// a port that no other datacenter of this machine is likely to use.
type Datacenter struct {
	Dir        string // state, given to --dir
	Tombolo    string // the binary
	Kubeconfig string
	Gateway    string // address that master, Kubernetes and frameworks listen on
	Master     string // host:port
	Marathon   string // URL
	Batch      string // URL
}

// masterPort differs from the default so that the flag is tried too.
const masterPort = 25050

// Up runs `tombolo up --detach` and waits for it. The test's end takes the
// datacenter away where the test did not.
func Up(t testing.TB) *Datacenter {
	t.Helper()
	dir, err := os.MkdirTemp("", "tombolo-e2e")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // tasks of other users reach their sandboxes
		t.Fatal(err)
	}
	d := &Datacenter{Dir: filepath.Join(dir, "dc"), Tombolo: Bin(t, "tombolo")}
	t.Cleanup(func() {
		if t.Failed() {
			d.logTails(t)
		}
		if _, err := os.Stat(d.Dir); err == nil {
			status, out := Run(t, 3*time.Minute, d.Tombolo, "down", "--dir", d.Dir, "--purge")
			if status != 0 {
				t.Errorf("clean up: down ended with %d:\n%s", status, out)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	d.UpAgain(t)
	return d
}

// UpAgain runs up on the directory as it is.
func (d *Datacenter) UpAgain(t testing.TB) {
	t.Helper()
	start := time.Now()
	status, out := Run(t, 6*time.Minute, d.Tombolo, "up", "--dir", d.Dir, "--agents", "3", "--master-port", strconv.Itoa(masterPort), "--detach")
	if status != 0 {
		d.logTails(t)
		t.Fatalf("up ended with %d:\n%s", status, out)
	}
	t.Logf("up after %v:\n%s", time.Since(start).Round(time.Second), out)
	d.locate(t)
}

// locate works the endpoints out from what the directory keeps.
func (d *Datacenter) locate(t testing.TB) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(d.Dir, "datacenter.json"))
	if err != nil {
		t.Fatal(err)
	}
	var kept struct {
		Number int `json:"number"`
	}
	if err := json.Unmarshal(data, &kept); err != nil {
		t.Fatal(err)
	}
	d.Gateway = fmt.Sprintf("172.30.%d.1", kept.Number)
	d.Master = net.JoinHostPort(d.Gateway, strconv.Itoa(masterPort))
	d.Marathon = "http://" + d.Gateway + ":8080"
	d.Batch = "http://" + d.Gateway + ":8090"
	d.Kubeconfig = filepath.Join(d.Dir, "kubeconfig")
}

// Down stops everything and removes the directory.
func (d *Datacenter) Down(t testing.TB) {
	t.Helper()
	MustRun(t, 3*time.Minute, d.Tombolo, "down", "--dir", d.Dir, "--purge")
}

// DownKeeping stops everything and keeps the directory.
func (d *Datacenter) DownKeeping(t testing.TB) {
	t.Helper()
	MustRun(t, 3*time.Minute, d.Tombolo, "down", "--dir", d.Dir)
}

// PID returns the process id of a part, from its pid file.
func (d *Datacenter) PID(part string) (int, error) {
	data, err := os.ReadFile(filepath.Join(d.Dir, "run", part+".pid"))
	if err != nil {
		return 0, err
	}
	var record struct {
		PID int `json:"pid"`
	}
	return record.PID, json.Unmarshal(data, &record)
}

// Kill9 ends a part by SIGKILL and waits until the supervisor has started it again.
func (d *Datacenter) Kill9(t testing.TB, part string) {
	t.Helper()
	pid, err := d.PID(part)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill -9 of %s (pid %d): %v", part, pid, err)
	}
	Eventually(t, 60*time.Second, part+" is started again", func() error {
		now, err := d.PID(part)
		if err != nil {
			return err
		}
		if now == pid || syscall.Kill(now, 0) != nil {
			return fmt.Errorf("pid was %d, is %d", pid, now)
		}
		return nil
	})
}

// Kubectl runs kubectl against the datacenter's Kubernetes and returns its output.
func (d *Datacenter) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	return MustRun(t, 4*time.Minute, d.kubectl(t, args...)...)
}

func (d *Datacenter) kubectl(t testing.TB, args ...string) []string {
	return append([]string{Bin(t, "tools/hyperkube"), "kubectl", "--kubeconfig", d.Kubeconfig}, args...)
}

// KubectlTTY is Kubectl on a terminal.
func (d *Datacenter) KubectlTTY(t testing.TB, args ...string) string {
	t.Helper()
	line := make([]string, 0, len(args))
	for _, arg := range d.kubectl(t, args...) {
		line = append(line, "'"+strings.ReplaceAll(arg, "'", `'\''`)+"'")
	}
	return MustRun(t, time.Minute, "script", "--quiet", "--return", "--command", strings.Join(line, " "), "/dev/null")
}

// Apply applies a manifest.
func (d *Datacenter) Apply(t testing.TB, manifest string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Kubectl(t, "apply", "-f", file)
}

// Pods returns the pods of the default namespace that a label selector chooses and
// that are not being deleted.
func (d *Datacenter) Pods(t testing.TB, selector string) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	d.get(t, &list, "pods", "-l", selector)
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

// Pod returns one pod of the default namespace.
func (d *Datacenter) Pod(t testing.TB, name string) corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	d.get(t, &pod, "pod", name)
	return pod
}

// Nodes returns all nodes.
func (d *Datacenter) Nodes(t testing.TB) []corev1.Node {
	t.Helper()
	var list corev1.NodeList
	d.get(t, &list, "nodes")
	return list.Items
}

func (d *Datacenter) get(t testing.TB, into any, args ...string) {
	t.Helper()
	out := d.Kubectl(t, append([]string{"get", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("kubectl get %v: %v\n%.400s", args, err, out)
	}
}

// PortForward asks a pod's port for / through kubectl port-forward.
func (d *Datacenter) PortForward(t testing.TB, pod string, port int) string {
	t.Helper()
	local := FreePort(t, "127.0.0.1")
	args := d.kubectl(t, "port-forward", "pod/"+pod, fmt.Sprintf("%d:%d", local, port))
	cmd := exec.Command(args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	var text string
	Eventually(t, 20*time.Second, "the forwarded port answers", func() (err error) {
		text, err = Get(fmt.Sprintf("http://127.0.0.1:%d/", local))
		return err
	})
	return text
}

func (d *Datacenter) logTails(t testing.TB) {
	logs, _ := filepath.Glob(filepath.Join(d.Dir, "log", "*"))
	for _, log := range logs {
		name := filepath.Base(log)
		if strings.HasPrefix(name, "kube") || strings.HasPrefix(name, "etcd") || strings.HasPrefix(name, "containerd") {
			continue
		}
		data, err := os.ReadFile(log)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
		t.Logf("last lines of %s:\n%s", name, strings.Join(lines[max(0, len(lines)-25):], "\n"))
	}
}

// Leftovers lists what of the datacenter, by its number and directory, is on the
// machine: network namespaces, links, routes, packet filter tables, mounts, cgroups
// and processes. After down there is nothing.
func (d *Datacenter) Leftovers(t testing.TB) []string {
	t.Helper()
	number := strings.Split(d.Gateway, ".")[2]
	var found []string
	add := func(kind, text string, marks ...string) {
		for _, line := range strings.Split(text, "\n") {
			if slices.ContainsFunc(marks, func(mark string) bool { return strings.Contains(line, mark) }) {
				found = append(found, kind+" "+strings.TrimSpace(line))
			}
		}
	}
	read := func(file string) string {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	run := func(args ...string) string { return MustRun(t, 10*time.Second, args...) }
	add("mount", read("/proc/self/mounts"), d.Dir, "tombolo-"+number+"/", "tombolo-"+number+"-")
	add("link", run("ip", "-o", "link"), "tombolo"+number+":", " tmb"+number+"a")
	add("route", run("ip", "route"), "tombolo"+number+" ", "172.30."+number+".")
	add("table", run("nft", "list", "tables"), "tombolo_"+number)
	for kind, patterns := range map[string][]string{
		"netns":     {"/run/netns/tombolo-" + number + "-*"},
		"cgroup":    {"/sys/fs/cgroup/tombolo-" + number, "/sys/fs/cgroup/*/tombolo-" + number},
		"directory": {"/run/tombolo-" + number, d.Dir},
	} {
		for _, pattern := range patterns {
			paths, err := filepath.Glob(pattern)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				found = append(found, kind+" "+path)
			}
		}
	}
	slices.Sort(found)
	return append(found, processesNamed(d.Dir)...)
}

// processesNamed lists the processes whose command line has text in it.
func processesNamed(text string) []string {
	var found []string
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		data, err := os.ReadFile(p)
		if err == nil && strings.Contains(string(data), text) {
			found = append(found, "process "+strings.ReplaceAll(string(data), "\x00", " "))
		}
	}
	slices.Sort(found)
	return found
}
