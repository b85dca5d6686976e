package pod

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tombolo-project/tombolo/datacenter/images"
	"github.com/tombolo-project/tombolo/datacenter/network"
	containerd "github.com/tombolo-project/tombolo/datacenter/runtime"
)

// The tests run a real containerd in network, mount and process namespaces of their own: the test binary starts itself
// again in them. When it ends, however it ends, everything in them ends too. Nothing outside is touched but a directory and
// a cgroup.

// agentIP is the address of the agent in the tests' network namespace.
const agentIP = "172.31.255.1"

// insideVariable tells the second start of the test binary that it is the second, and the directory that it may use.
const insideVariable = "TOMBOLO_TEST_INSIDE"

// rt is the container runtime of all tests of this package.
var rt struct {
	socket string
	cgroup string
}

func TestMain(m *testing.M) {
	dir := os.Getenv(insideVariable)
	if dir == "" {
		os.Exit(outside())
	}
	os.Exit(inside(m, dir))
}

// outside starts the test binary again in namespaces of its own.
func outside() int {
	if os.Geteuid() != 0 {
		fmt.Println("the tests of the pod executor run a real container runtime: run them as root")
		return 1
	}
	dir, err := os.MkdirTemp("", "tp")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVariable+"="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	runtime.LockOSThread() // the parent of Pdeathsig is the thread
	err = cmd.Run()
	cleanErr := errors.Join(podCgroup{path: testCgroup(dir)}.remove(), os.RemoveAll(dir))
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		fmt.Println("start the tests in namespaces of their own:", err)
		return 1
	case cleanErr != nil:
		fmt.Println("clean up:", cleanErr)
		return 1
	}
	return 0
}

// testCgroup is the cgroup of the tests, after their directory.
func testCgroup(dir string) string { return "/tombolo-test-" + filepath.Base(dir) }

// inside starts containerd and a registry, runs the tests, and cleans up.
func inside(m *testing.M, dir string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop, err := startRuntime(ctx, dir)
	if err != nil {
		fmt.Println("start the container runtime:", err)
		return 1
	}
	code := m.Run()
	cancel()
	if err := stop(); err != nil {
		fmt.Println("stop the container runtime:", err)
		return 1
	}
	return code
}

func startRuntime(ctx context.Context, dir string) (stop func() error, err error) {
	if err := prepareNamespaces(); err != nil {
		return nil, err
	}
	tools, err := filepath.Abs("../../bin/tools")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(tools, "containerd")); err != nil {
		return nil, fmt.Errorf("%w: run make tools", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	registry := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	quiet := slog.New(slog.DiscardHandler)
	go func() {
		if err := images.Serve(ctx, registry, filepath.Join(tools, "images"), quiet); err != nil && ctx.Err() == nil {
			fmt.Println("image registry:", err)
		}
	}()
	config := containerd.Runtime{
		Agent: network.Agent{Index: 1, Name: "test", Pods: netip.MustParsePrefix("10.213.0.0/24")},
		Tools: tools, Root: filepath.Join(dir, "r"), State: filepath.Join(dir, "s"), Registry: registry, Pause: images.Pause,
	}
	if err := config.Prepare(); err != nil {
		return nil, err
	}
	rt.socket, rt.cgroup = config.Endpoint(), testCgroup(dir)
	if err := makeExecutorCgroup(filepath.Join(rt.cgroup, "executor")); err != nil {
		return nil, err
	}
	spec := config.Spec()
	logFile, err := os.Create(filepath.Join(dir, "containerd.log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = spec.Env, spec.Dir, logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(30 * time.Second)
	for config.Ready(ctx) != nil {
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(logFile.Name())
			return nil, fmt.Errorf("containerd is not ready: %v\n%s", config.Ready(ctx), text)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return func() error {
		err := cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // its exit status says how it was ended
		return err
	}, nil
}

// makeExecutorCgroup makes the executor's cgroup as an agent does: with all controllers.
func makeExecutorCgroup(path string) error {
	m, err := podCgroup{path: path}.manager(&cgroups.Resources{})
	if err != nil {
		return err
	}
	return m.Apply(-1)
}

// prepareNamespaces makes this process's namespaces usable: no mount spreads out of them, and the agent has an address.
func prepareNamespaces() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("show the processes of the namespace: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	address, err := netlink.ParseAddr(agentIP + "/32")
	if err != nil {
		return err
	}
	return netlink.AddrAdd(lo, address)
}
