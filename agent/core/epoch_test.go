package core

import (
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/epoch"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

func reign(n int64) epoch.Epoch { return epoch.Epoch{Registry: "r", Number: n} }

// under makes the rig obey an epoch.
func under(t *testing.T, r *rig, e epoch.Epoch) {
	t.Helper()
	r.do(Received{From: master, Message: &messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}}, Epoch: e})
	if s := one[SaveEpoch](t, r.effects); s.Epoch != e {
		t.Fatalf("saved %v", s.Epoch)
	}
}

func TestEpoch_OlderMastersAreRefused(t *testing.T) {
	r := registeredRig(t)
	under(t, r, reign(7))
	for _, m := range []Received{
		{From: master, Message: run("t"), Epoch: reign(6)},
		{From: master, Message: &messages.ShutdownMessage{}, Epoch: reign(1)},
		{From: observer, Message: &messages.PingSlaveMessage{Connected: true}, Epoch: reign(6)},
	} {
		r.do(m)
		if len(all[StartContainer](r.effects))+len(all[Send](r.effects))+len(all[Exit](r.effects)) > 0 {
			t.Errorf("an order of an old master was obeyed: %v", r.effects)
		}
	}
	r.do(Received{From: master, Message: run("t"), Epoch: reign(7)})
	if len(all[StartContainer](r.effects)) != 1 || len(all[SaveEpoch](r.effects)) != 0 {
		t.Errorf("%v", r.effects)
	}
	r.do(Received{From: master, Message: run("u"), Epoch: reign(8)})
	if first, ok := r.effects[0].(SaveEpoch); !ok || first.Epoch != reign(8) {
		t.Errorf("the new epoch was not saved before its order was obeyed: %v", r.effects)
	}
}

// A stranger can't lock the leading master out by naming a later epoch.
func TestEpoch_OnlyTheLeadingMasterSetsIt(t *testing.T) {
	r := registeredRig(t)
	under(t, r, reign(7))
	r.do(Received{From: "master@10.0.0.9:5050", Message: run("t"), Epoch: reign(99)})
	r.do(Received{From: master, Message: run("t"), Epoch: reign(7)})
	if len(all[StartContainer](r.effects)) != 1 {
		t.Errorf("%v", r.effects)
	}
}

func TestEpoch_SurvivesARestart(t *testing.T) {
	r := newRig(t, Recovered{Info: &mesos.AgentInfo{ID: &mesos.AgentID{Value: "S0"}, Hostname: "h"}, Epoch: reign(7)})
	r.pass(2 * time.Second)
	r.do(Received{From: master, Message: &messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}}, Epoch: reign(6)})
	if r.s.phase == running {
		t.Error("admitted by a master that leads no more")
	}
}

// Mesos's masters say no epoch; another registry's cannot be compared.
func TestEpoch_OtherMasters(t *testing.T) {
	r := registeredRig(t)
	under(t, r, reign(7))
	r.do(Received{From: master, Message: run("t")})
	if len(all[StartContainer](r.effects)) != 1 {
		t.Error("the order of a master without epochs was refused")
	}
	r.do(Received{From: master, Message: run("u"), Epoch: epoch.Epoch{Registry: "other", Number: 1}})
	if len(all[StartContainer](r.effects)) != 1 {
		t.Error("the order of the leading master was refused because of its new registry")
	}
}

func TestNoMaster(t *testing.T) {
	r := registeredRig(t)
	r.do(MasterDetected{})
	if effects := r.pass(5 * time.Minute); len(effects) > 0 {
		t.Errorf("without a master: %v", effects)
	}
	r.do(MasterDetected{PID: "master@10.0.0.3:5050"})
	r.pass(2 * time.Second)
	if m := sent[*messages.ReregisterSlaveMessage](r.effects); len(m) == 0 {
		t.Error("it does not register with the new master")
	}
}
