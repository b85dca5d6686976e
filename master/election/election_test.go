package election_test

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/master/election"
	"github.com/tombolo-project/tombolo/master/registry"
)

const ttl = 2 * time.Second // the least that etcd allows

// shared is an etcd that several masters connect to.
func shared(t *testing.T) (endpoint string) {
	etcd, address, err := registry.Embedded(t.Context(), t.TempDir(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { etcd.Close() })
	return address
}

func dial(t *testing.T, endpoint string) *registry.Etcd {
	etcd, err := registry.Dial(t.Context(), registry.External{Endpoints: []string{endpoint}, Prefix: "/test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { etcd.Close() })
	return etcd
}

// candidate stands for election and sends its leadership when it is elected.
func candidate(t *testing.T, client *clientv3.Client, name string) (<-chan *election.Leadership, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	elected := make(chan *election.Leadership, 1)
	go func() {
		l, err := election.Campaign(ctx, client, []byte(name), ttl)
		if err != nil {
			if ctx.Err() == nil {
				t.Errorf("candidate %s: %v", name, err)
			}
			close(elected)
			return
		}
		elected <- l
	}()
	return elected, cancel
}

func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case x := <-c:
		return x
	case <-time.After(20 * time.Second):
		t.Fatalf("%s did not happen", what)
		panic("unreachable")
	}
}

// standing waits until n candidates stand.
func standing(t *testing.T, client *clientv3.Client, n int64) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		answer, err := client.Get(t.Context(), "/tombolo/election/candidates/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err == nil && answer.Count == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%v candidates, want %d (%v)", answer, n, err)
		}
	}
}

func TestOneLeadsAfterTheOther(t *testing.T) {
	endpoint := shared(t)
	client := dial(t, endpoint).Client()
	first, _ := candidate(t, client, "a")
	a := receive(t, "election of a", first)
	second, giveUp := candidate(t, client, "b")
	standing(t, client, 2)
	third, _ := candidate(t, client, "c")
	standing(t, client, 3)
	leaders := make(chan string, 10)
	go election.Watch(t.Context(), client, func(self []byte) { leaders <- string(self) })
	if name := receive(t, "watch", leaders); name != "a" {
		t.Fatalf("%q leads", name)
	}
	giveUp()
	standing(t, client, 2)
	select {
	case <-second:
	case <-third:
		t.Fatal("elected while a leads")
	case <-time.After(10 * time.Second):
		t.Fatal("b does not give up")
	}
	if err := a.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := receive(t, "election of c", third)
	if name := receive(t, "watch", leaders); name != "c" {
		t.Fatalf("%q leads", name)
	}
	if a.Valid(time.Now()) || !errors.Is(a.Err(), election.ErrLost) || !a.Epoch.Before(c.Epoch) || !c.Valid(time.Now()) {
		t.Errorf("a: %v %v, c: %v", a.Err(), a.Epoch, c.Epoch)
	}
	if err := c.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if name := receive(t, "watch", leaders); name != "" {
		t.Fatalf("%q leads", name)
	}
}

// A leader whose lease is gone neither counts itself as leader for long nor writes.
func TestDeposedLeaderCannotWrite(t *testing.T) {
	endpoint := shared(t)
	old, next := dial(t, endpoint), dial(t, endpoint)
	first, _ := candidate(t, old.Client(), "a")
	a := receive(t, "election of a", first)
	old.Fence(a.Fence())
	admit := func(id string) []core.RegistryChange {
		return []core.RegistryChange{{Kind: core.AdmitAgent, Agent: mesos.AgentInfo{ID: &mesos.AgentID{Value: id}, Hostname: "h"}}}
	}
	if err := old.Apply(t.Context(), admit("S0")); err != nil {
		t.Fatal(err)
	}
	second, _ := candidate(t, next.Client(), "b")
	standing(t, next.Client(), 2)
	// As if it had been stopped for longer than its lease.
	answer, err := next.Client().Get(t.Context(), "/tombolo/election/candidates/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range answer.Kvs {
		if string(kv.Value) == "a" {
			if _, err := next.Client().Revoke(t.Context(), clientv3.LeaseID(kv.Lease)); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := receive(t, "election of b", second)
	next.Fence(b.Fence())
	if err := old.Apply(t.Context(), admit("S1")); !errors.Is(err, registry.ErrDeposed) {
		t.Errorf("the old leader wrote: %v", err)
	}
	if err := next.Apply(t.Context(), admit("S2")); err != nil {
		t.Error(err)
	}
	receive(t, "the end of a", a.Context().Done())
	reg, err := next.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(reg.Admitted) != 2 {
		t.Errorf("%v", reg.Admitted)
	}
}

// Each start of a master with an etcd of its own is a later epoch of the same registry.
func TestSeize(t *testing.T) {
	client := dial(t, shared(t)).Client()
	a, err := election.Seize(t.Context(), client, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := election.Seize(t.Context(), client, []byte("b"))
	if err != nil {
		t.Fatal(err)
	}
	if !a.Epoch.Before(b.Epoch) || !b.Valid(time.Now().Add(time.Hour)) {
		t.Errorf("%v %v", a.Epoch, b.Epoch)
	}
}

func TestNobodyThere(t *testing.T) {
	_, err := registry.Dial(t.Context(), registry.External{Endpoints: []string{"no-port"}})
	if err == nil {
		t.Error("accepted")
	}
}
