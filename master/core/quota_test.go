package core

import (
	"errors"
	"strings"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/quota"
)

// ask feeds an operator's request and returns the reply.
func (w *world) ask(event func(RequestID) Event) Reply {
	w.request++
	w.step(event(w.request))
	return w.replies[w.request]
}

func amounts(list ...any) map[string]mesos.Value_Scalar {
	m := map[string]mesos.Value_Scalar{}
	for i := 0; i < len(list); i += 2 {
		m[list[i].(string)] = mesos.Value_Scalar{Value: list[i+1].(float64)}
	}
	return m
}

func config(role string, guarantees, limits map[string]mesos.Value_Scalar) quota.QuotaConfig {
	return quota.QuotaConfig{Role: role, Guarantees: guarantees, Limits: limits}
}

func (w *world) updateQuota(force bool, configs ...quota.QuotaConfig) Reply {
	return w.ask(func(id RequestID) Event { return QuotaUpdated{Request: id, Configs: configs, Force: force} })
}

func (w *world) setQuota(role, text string) Reply {
	return w.ask(func(id RequestID) Event {
		return QuotaSet{Request: id, Quota: quota.QuotaRequest{Role: &role, Guarantee: resources(text)}}
	})
}

func expect(t *testing.T, r Reply, status int, text string) {
	t.Helper()
	if r.Status != status || text != "" && r.Text != text {
		t.Errorf("answered %d %q, not %d %q", r.Status, r.Text, status, text)
	}
}

func TestOP1_26_RefusedQuotas(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:4;mem:4096;disk:10240")
	for _, c := range []struct {
		config quota.QuotaConfig
		text   string
	}{
		{config("a/b", nil, amounts("cpus", 1.)), "Updating quota on nested role 'a/b' is not supported yet"},
		{config("", nil, amounts("cpus", 1.)), "Invalid QuotaConfig: Invalid 'QuotaConfig.role': Role names cannot be the empty string"},
		{config("r", amounts("cpus", 2.), amounts("cpus", 1.)), "Invalid QuotaConfig: 'QuotaConfig.guarantees' { cpus: 2 } is not contained within the 'QuotaConfig.limits' { cpus: 1 }"},
		{config("r", amounts("cpus", -1.), amounts("cpus", 1.)), "Invalid QuotaConfig: Invalid guarantee configuration {'cpus': -1}: Negative values not supported"},
		{config("r", nil, amounts("cpus", 1e13)), "Invalid QuotaConfig: Invalid 'QuotaConfig.limits': {'cpus': 10000000000000} is invalid: values greater than 1 trillion (1000000000000) are not supported"},
		{config("r", nil, amounts("mem", 2e18)), "Invalid QuotaConfig: Invalid 'QuotaConfig.limits': {'mem': 2e+18} is invalid: values greater than 1 exabyte (1099511627776) are not supported"},
		{config("r", amounts("cpus", 1e5), amounts("cpus", 1e5)), "Invalid QuotaConfig: total quota guarantees 'cpus:100000' exceed cluster capacity 'cpus:4; disk:10240; mem:4096' (use 'force' flag to bypass this check)"},
	} {
		expect(t, w.updateQuota(false, c.config), 400, c.text)
	}
	good := config("good", nil, amounts("cpus", 1.))
	expect(t, w.updateQuota(false, good, config("r//", nil, nil)), 400, "")
	if len(w.s.View().Quotas) != 0 || len(w.registry.Quotas) != 0 {
		t.Error("a refused list of quotas left something behind")
	}
	expect(t, w.updateQuota(false), 200, "")
	expect(t, w.updateQuota(true, config("r", amounts("cpus", 1e5), amounts("cpus", 1e5))), 200, "")
}

func TestOP1_26_QuotaIsDurableBeforeTheAnswer(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:4;mem:4096")
	w.hold = true
	c := config("r", amounts("cpus", 1.), amounts("cpus", 2.))
	r := w.updateQuota(false, c)
	if r.Status != 0 || len(w.s.View().Quotas) != 0 {
		t.Fatalf("answered %v before the registry was written", r)
	}
	second := w.setQuota("s", "cpus:4") // must wait for the first, with which it overcommits
	w.written(nil)
	expect(t, w.replies[w.request-1], 200, "")
	if second.Status != 0 {
		t.Fatal("decided before the quota that was being written")
	}
	expect(t, w.replies[w.request], 409, "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total quota guarantees 'cpus:5' exceed cluster capacity 'cpus:4; mem:4096'")
	w.updateQuota(false, config("r", nil, nil))
	w.written(errors.New("no quorum"))
	expect(t, w.replies[w.request], 503, "the change could not be stored: no quorum")
	if q := w.s.View().Quotas; len(q) != 1 || len(q[0].Limits) != 1 {
		t.Errorf("a change that was not stored shows: %v", q)
	}
	again := restart(t, w.registry)
	if q := again.s.View().Quotas; len(q) != 1 || !q[0].Equal(c) {
		t.Errorf("after a restart: %v", q)
	}
}

func TestOP1_26c_LimitBelowConsumption(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:4;mem:4096")
	info := named("f", mesos.FrameworkInfo_Capability_MULTI_ROLE)
	info.Roles = []string{"r/x"}
	f := w.subscribe(info)
	o := f.offer()
	task := command("t", o, "cpus:1;mem:128")
	f.accept(0, o, launch(task))
	w.pass(2e9)
	limit := config("r", nil, amounts("cpus", 0.5))
	expect(t, w.updateQuota(false, limit), 400, "Invalid QuotaConfig: Role 'r' is already consuming 'cpus:1; mem:128'; this is more than the requested limits 'cpus:0.5' (use 'force' flag to bypass this check)")
	if len(w.s.offers) == 0 {
		t.Fatal("nothing is on offer")
	}
	expect(t, w.updateQuota(true, limit), 200, "")
	if n := w.s.frameworks[f.id].counts.OffersRescinded; n != 1 {
		t.Errorf("%d offers rescinded that are above the limit", n)
	}
}

func TestOP1_26_GuaranteeTakesOffersBack(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:4;mem:4096")
	f := w.subscribe(named("f"))
	f.offer()
	expect(t, w.updateQuota(false, config("r", amounts("cpus", 1.), nil)), 200, "")
	if n := f.w.s.frameworks[f.id].counts.OffersRescinded; n != 1 {
		t.Errorf("%d offers rescinded for the guarantee of another role", n)
	}
}

func TestOP1_27_SetAndRemove(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:4;mem:4096")
	remove := func(role, path string) Reply {
		return w.ask(func(id RequestID) Event { return QuotaRemoved{Request: id, Role: role, Path: path} })
	}
	expect(t, w.setQuota("r", "cpus:0.5;mem:64"), 200, "")
	if q := w.s.View().Quotas[0]; q.Guarantees["mem"].Value != 64 || q.Limits["cpus"].Value != 0.5 {
		t.Errorf("quota %v", q)
	}
	expect(t, w.setQuota("r", "cpus:0.5"), 400, "Failed to validate set quota request: Cannot set quota for role 'r' which already has quota")
	expect(t, w.setQuota("a/b", "cpus:0.1"), 400, "Failed to validate set quota request: Invalid quota configuration. Parent role 'a' with guarantees ({}) does not contain the sum of its children's guarantees (cpus:0.1)")
	expect(t, w.setQuota("r/b", "cpus:0.1"), 400, "Setting quota on nested role 'r/b' is not supported yet")
	expect(t, w.setQuota("b", ""), 400, "Failed to validate set quota request: QuotaInfo with empty 'guarantee'")
	expect(t, w.setQuota("b", "ports:[1-2]"), 400, "Failed to validate set quota request: QuotaInfo must not include non-scalar resources")
	expect(t, w.setQuota("b", "cpus(x):1"), 400, "Failed to validate set quota request: QuotaInfo must not contain any ReservationInfo")
	expect(t, remove("none", ""), 400, "Failed to remove quota: Role 'none' has no quota set")
	expect(t, remove("none", "/master/quota/none"), 400, "Failed to remove quota for path '/master/quota/none': Role 'none' has no quota set")
	expect(t, remove("r", ""), 200, "")
	if len(w.s.View().Quotas) != 0 || len(w.registry.Quotas) != 0 {
		t.Error("the quota is still there")
	}
}

func TestOP1_25_BackToNoneIsStillListed(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:4;mem:4096")
	w.updateQuota(false, config("r", nil, amounts("cpus", 1.)))
	w.updateQuota(false, config("r", nil, nil))
	if q := w.s.View().Quotas; len(q) != 1 || q[0].Role != "r" || len(q[0].Limits) != 0 {
		t.Errorf("%v", q)
	}
	if len(w.registry.Quotas) != 0 {
		t.Error("the registry keeps a quota of nothing")
	}
}

func TestOP1_15_WeightTexts(t *testing.T) {
	w := newWorld(t)
	set := func(role string, weight float64) Reply {
		return w.ask(func(id RequestID) Event {
			return WeightsUpdated{Request: id, Weights: []mesos.WeightInfo{{Role: &role, Weight: weight}}}
		})
	}
	expect(t, set("r", 0), 400, "Failed to validate update weights request JSON for role 'r': Invalid weight '0': Weights must be positive")
	expect(t, set("a//b", 1), 400, "Failed to validate update weights request JSON: Invalid role 'a//b': Role 'a//b' cannot contain two adjacent slashes")
	expect(t, set("", 1), 400, "Failed to validate update weights request JSON: Invalid role '': Role names cannot be the empty string")
	if r := set("-x", 1); !strings.Contains(r.Text, "starts with a dash") {
		t.Errorf("%v", r)
	}
	expect(t, set("*", 2), 200, "")
}
