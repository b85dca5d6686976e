package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tombolo-project/tombolo/e2e/harness"
)

// agentStanding is what the tests read of an agent in /slaves.
type agentStanding struct {
	ID          string `json:"id"`
	Hostname    string `json:"hostname"`
	PID         string `json:"pid"`
	Active      bool   `json:"active"`
	Deactivated bool   `json:"deactivated"`
	Drain       *struct {
		State string `json:"state"`
	} `json:"drain_info"`
}

func standings(m *harness.Mesos) (map[string]agentStanding, error) {
	var answer struct{ Slaves []agentStanding }
	if err := harness.GetJSON("http://"+m.Addr+"/slaves", &answer); err != nil {
		return nil, err
	}
	found := map[string]agentStanding{}
	for _, a := range answer.Slaves {
		found[a.Hostname] = a
	}
	return found, nil
}

// operate makes a call of the operator API, which has to be accepted.
func operate(t *testing.T, m *harness.Mesos, call string) {
	t.Helper()
	status, text, err := harness.Do(http.MethodPost, "http://"+m.Addr+"/api/v1", call)
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %s %v", call, status, text, err)
	}
}

// awaitDrain waits until an agent is in a drain state; "" waits until it is active.
func awaitDrain(t *testing.T, m *harness.Mesos, hostname, state string) {
	t.Helper()
	harness.Eventually(t, 90*time.Second, hostname+" is "+state, func() error {
		all, err := standings(m)
		if err != nil {
			return err
		}
		a, there := all[hostname]
		switch {
		case !there:
			return fmt.Errorf("it is not registered")
		case state == "" && a.Active && a.Drain == nil:
			return nil
		case state != "" && a.Drain != nil && a.Drain.State == state && !a.Active:
			return nil
		}
		return fmt.Errorf("it is %+v", a)
	})
}

// spread waits until n instances run, all on one agent if that is named, and returns on which.
func spread(t *testing.T, m *harness.Mesos, n int, only string) map[string]int {
	t.Helper()
	var on map[string]int
	harness.Eventually(t, 2*time.Minute, fmt.Sprintf("%d instances run, only on %q", n, only), func() error {
		s, err := harness.StateOf(m.Addr)
		if err != nil {
			return err
		}
		f, err := s.Framework("marathon")
		if err != nil {
			return err
		}
		hosts := map[string]string{}
		for _, a := range s.Slaves {
			hosts[a.ID] = a.Hostname
		}
		on = map[string]int{}
		total := 0
		for _, task := range f.Tasks {
			if task.State == "TASK_RUNNING" {
				on[hosts[task.SlaveID]]++
				total++
			}
		}
		if total != n || only != "" && on[only] != n {
			return fmt.Errorf("running: %v", on)
		}
		return nil
	})
	return on
}

// stubborn starts an app whose instances end only when they are killed for good, so that draining takes the grace period.
func stubborn(t *testing.T, m *harness.Mesos, instances int) {
	t.Helper()
	port := strconv.Itoa(harness.FreePort(t, "127.0.0.1"))
	url := "http://127.0.0.1:" + port
	harness.Start(t, m.Dir, "marathon", harness.Bin(t, "tombolo"), "marathon", "--master="+m.Addr,
		"--ip=127.0.0.1", "--port="+port, "--state=file://"+filepath.Join(m.Dir, "state-marathon"))
	harness.Eventually(t, 60*time.Second, "Marathon answers", func() error {
		_, err := harness.Get(url + "/ping")
		return err
	})
	app := fmt.Sprintf(`{"id":"/stubborn","cmd":"trap '' TERM; while true; do sleep 1; done","cpus":0.5,"mem":32,"instances":%d,
		"taskKillGracePeriodSeconds":600,"constraints":[["hostname","GROUP_BY"]]}`, instances)
	status, text, err := harness.Do(http.MethodPost, url+"/v2/apps", app)
	if err != nil || status != http.StatusCreated {
		t.Fatalf("create the app: %d %s %v", status, text, err)
	}
}

// TestOP1_30_DrainToTheEnd drains an agent whose tasks don't want to end, and kills master and agent meanwhile: the drain
// goes on, nothing starts there, its work moves. Then the agent is used again, and the other one drains to be gone.
func TestOP1_30_DrainToTheEnd(t *testing.T) {
	m := harness.StartMesos(t, 2)
	stubborn(t, m, 4)
	if on := spread(t, m, 4, ""); on["agent0"] == 0 || on["agent1"] == 0 {
		t.Fatalf("instances run on %v", on)
	}
	all, err := standings(m)
	if err != nil {
		t.Fatal(err)
	}
	operate(t, m, `{"type":"DRAIN_AGENT","drain_agent":{"agent_id":{"value":"`+all["agent0"].ID+`"},"max_grace_period":{"seconds":8}}}`)
	m.Master.Kill()
	m.Agents[0].Kill()
	m.Master.Restart()
	m.Agents[0].Restart()
	m.AwaitMaster(t)
	awaitDrain(t, m, "agent0", "DRAINED")
	spread(t, m, 4, "agent1")
	status, text, err := harness.Do(http.MethodPost, "http://"+m.Addr+"/api/v1", `{"type":"DRAIN_AGENT","drain_agent":{"agent_id":{"value":"nobody"}}}`)
	if err != nil || status != http.StatusBadRequest || strings.TrimSpace(text) != "Unknown agent" {
		t.Errorf("%d %q %v", status, text, err)
	}
	operate(t, m, `{"type":"REACTIVATE_AGENT","reactivate_agent":{"agent_id":{"value":"`+all["agent0"].ID+`"}}}`)
	awaitDrain(t, m, "agent0", "")

	operate(t, m, `{"type":"DRAIN_AGENT","drain_agent":{"agent_id":{"value":"`+all["agent1"].ID+`"},"max_grace_period":{"seconds":1},"mark_gone":true}}`)
	harness.Eventually(t, 90*time.Second, "agent1 is gone", func() error {
		now, err := standings(m)
		if err != nil {
			return err
		}
		if _, there := now["agent1"]; there {
			return fmt.Errorf("it is %+v", now["agent1"])
		}
		return nil
	})
	spread(t, m, 4, "agent0")
	operate(t, m, `{"type":"MARK_AGENT_GONE","mark_agent_gone":{"agent_id":{"value":"`+all["agent1"].ID+`"}}}`) // again: fine
}
