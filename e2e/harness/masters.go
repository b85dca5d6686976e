package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Masters are several masters on one etcd, of which one leads, with agents that follow it.
type Masters struct {
	Mesos   // Addr is how clients find the leader; Master is not used
	Etcd    *Process
	Masters []*Process
	Addrs   []string // of the masters, in their order
}

// SessionTimeout is after which the masters of a Masters replace a silent leader.
const SessionTimeout = 2 * time.Second

// StartMasters starts an etcd, n masters and agents, and waits until all agents are
// registered. The leader is found by a list of the masters or, if zk is not empty, in
// the ZooKeeper at that address.
func StartMasters(t testing.TB, n, agents int, zk string, masterFlags ...string) *Masters {
	t.Helper()
	m := &Masters{Mesos: Mesos{Dir: shortDir(t)}}
	t.Cleanup(func() { endCgroup(t, m.cgroup()) })
	client := "http://127.0.0.1:" + strconv.Itoa(FreePort(t, "127.0.0.1"))
	peer := "http://127.0.0.1:" + strconv.Itoa(FreePort(t, "127.0.0.1"))
	m.Etcd = Start(t, m.Dir, "etcd", Bin(t, filepath.Join("tools", "etcd")), "--data-dir="+filepath.Join(m.Dir, "etcd"), "--log-level=error",
		"--listen-client-urls="+client, "--advertise-client-urls="+client, "--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
	for i := range n {
		address := "127.0.0.1:" + strconv.Itoa(FreePort(t, "127.0.0.1"))
		m.Addrs = append(m.Addrs, address)
		_, port, _ := strings.Cut(address, ":")
		name := fmt.Sprintf("master%d", i)
		args := []string{Bin(t, "tombolo"), "master", "--ip=127.0.0.1", "--port=" + port, "--work_dir=" + filepath.Join(m.Dir, name),
			"--zk=" + zk, "--zk_session_timeout=2secs", "--etcd_endpoints=" + client, "--etcd_session_timeout=" + strconv.Itoa(int(SessionTimeout/time.Second)) + "secs"}
		m.Masters = append(m.Masters, Start(t, m.Dir, name, append(args, masterFlags...)...))
	}
	if m.Addr = zk; zk == "" {
		m.Addr = strings.Join(m.Addrs, ",")
	}
	m.AwaitLeader(t, -1)
	for i := range agents {
		m.Agents = append(m.Agents, m.startAgent(t, i))
	}
	m.AwaitActive(t, agents)
	return m
}

// asker asks masters that may be stopped, and does not follow redirects.
var asker = &http.Client{Timeout: time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// leads says whether a master leads and has read the registry.
func (m *Masters) leads(i int) error {
	answer, err := asker.Get("http://" + m.Addrs[i] + "/state")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("master %d answers %s", i, answer.Status)
	}
	return nil
}

// AwaitLeader waits until a master other than the given one leads, and returns it.
func (m *Masters) AwaitLeader(t testing.TB, not int) int {
	t.Helper()
	leader := -1
	Eventually(t, 60*time.Second, "a master leads", func() error {
		var errs []error
		for i := range m.Masters {
			if i == not {
				continue
			}
			err := m.leads(i)
			if err == nil {
				leader = i
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
	return leader
}

// State is the leader's.
func (m *Masters) State() (State, error) {
	var errs []error
	for i, address := range m.Addrs {
		answer, err := asker.Get("http://" + address + "/state")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var s State
		if answer.StatusCode == http.StatusOK {
			err = json.NewDecoder(answer.Body).Decode(&s)
			answer.Body.Close()
			return s, err
		}
		answer.Body.Close()
		errs = append(errs, fmt.Errorf("master %d answers %s", i, answer.Status))
	}
	return State{}, errors.Join(errs...)
}

// AwaitActive waits until n agents are active at the leader.
func (m *Masters) AwaitActive(t testing.TB, n int) {
	t.Helper()
	Eventually(t, 90*time.Second, fmt.Sprintf("%d agents are active", n), func() error {
		s, err := m.State()
		if err != nil {
			return err
		}
		active := 0
		for _, a := range s.Slaves {
			if a.Active {
				active++
			}
		}
		if active != n {
			return fmt.Errorf("%d are", active)
		}
		return nil
	})
}

// Freeze stops a process as a whole, as a paused virtual machine is; Thaw lets it go on.
func (p *Process) Freeze() { p.signal(syscall.SIGSTOP) }

// Thaw undoes Freeze.
func (p *Process) Thaw() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %s: %v", p.Name, s, err)
	}
}
