package zookeeper_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/epoch"
	"github.com/tombolo-project/tombolo/mesos/zookeeper"
	"github.com/tombolo-project/tombolo/mesos/zookeeper/zookeepertest"
)

const timeout = 2 * time.Second

func info(id string) mesos.MasterInfo {
	pid, host, ip, port := "master@192.168.0.10:5050", "m", "192.168.0.10", uint32(5050)
	return mesos.MasterInfo{ID: id, IP: 167815360, Port: &port, PID: &pid, Hostname: &host, Address: &mesos.Address{IP: &ip, Port: 5050}}
}

// watching reports the ids of leaders as they are detected, "" for none.
func watching(t *testing.T, u zookeeper.URL) <-chan string {
	heard := make(chan string, 20)
	go zookeeper.Watch(t.Context(), u, timeout, slog.New(slog.DiscardHandler), func(m *mesos.MasterInfo) { heard <- m.GetID() })
	return heard
}

func expect(t *testing.T, heard <-chan string, want string) {
	t.Helper()
	select {
	case got := <-heard:
		if got != want {
			t.Fatalf("%q leads, want %q", got, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%q is not detected", want)
	}
}

func address(t *testing.T, text string) zookeeper.URL {
	u, err := zookeeper.ParseURL(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// publish shows a master and returns how to end it.
func publish(t *testing.T, u zookeeper.URL, id string, reign int64) (*zookeeper.Publication, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	limited := time.AfterFunc(30*time.Second, cancel)
	e := epoch.Epoch{}
	if reign > 0 {
		e = epoch.Epoch{Registry: "r", Number: reign}
	}
	p, err := zookeeper.Publish(ctx, u, timeout, slog.New(slog.DiscardHandler), info(id), e, func(*mesos.MasterInfo) {})
	if err != nil {
		t.Fatal(err)
	}
	limited.Stop()
	return p, cancel
}

func TestPublishAndWatch(t *testing.T) {
	server := zookeepertest.Start(t)
	u := address(t, "zk://someone:secret@"+server.Address+"/a/mesos")
	heard := watching(t, u)
	expect(t, heard, "")
	first, end := publish(t, u, "first", 1)
	expect(t, heard, "first")

	t.Run("old nodes", func(t *testing.T) { oldNodes(t, server) })
	t.Run("as Mesos writes it", func(t *testing.T) { asMesos(t, server.Address, "/a/mesos") })

	// The next leader does not wait for the session of the one before it.
	_, end2 := publish(t, u, "second", 2)
	expect(t, heard, "second")
	select {
	case <-first.Context().Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the first does not notice that its node is gone")
	}
	end()
	end2()
	expect(t, heard, "")

	// Mesos's masters are waited for.
	foreign, endForeign := publish(t, u, "mesos", 0)
	expect(t, heard, "mesos")
	ahead, done := make(chan string, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, err := zookeeper.Publish(ctx, u, timeout, slog.New(slog.DiscardHandler), info("third"), epoch.Epoch{Registry: "r", Number: 3},
			func(m *mesos.MasterInfo) { ahead <- m.GetID() })
		done <- err
	}()
	expect(t, ahead, "mesos")
	if foreign.Err() != nil {
		t.Fatal("it was pushed aside")
	}
	endForeign()
	expect(t, heard, "third")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// asMesos checks names, content and rights of the nodes (reference rows ZK-01, ZK-02, ZK-04).
func asMesos(t *testing.T, server, path string) {
	conn, _, err := zk.Connect([]string{server}, timeout, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	children, _, err := conn.Children(path)
	if err != nil || len(children) != 1 {
		t.Fatalf("%v %v", children, err)
	}
	if name, digits := children[0], len(children[0])-len("json.info_"); !strings.HasPrefix(name, "json.info_") || digits != 10 {
		t.Errorf("the node is called %s", name)
	}
	data, stat, err := conn.Get(path + "/" + children[0])
	if err != nil || stat.EphemeralOwner == 0 {
		t.Fatalf("%v, owner %d", err, stat.EphemeralOwner)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	if members["id"] != "first" || members["ip"] != 167815360.0 || members["pid"] != "master@192.168.0.10:5050" || members["port"] != 5050.0 {
		t.Errorf("%s", data)
	}
	if err := conn.Delete(path+"/"+children[0], -1); err == nil {
		t.Error("anybody may remove the leader's node")
	}
}

// TestSessions kills ZooKeeper: nobody leads while it is away, and who led steps down.
func TestSessions(t *testing.T) {
	server := zookeepertest.Start(t)
	u := address(t, "zk://"+server.Address+"/mesos")
	heard := watching(t, u)
	expect(t, heard, "")
	p, _ := publish(t, u, "a", 1)
	expect(t, heard, "a")
	server.Kill()
	expect(t, heard, "")
	select {
	case <-p.Context().Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the leader does not step down")
	}
	server.Run()
	publish(t, u, "b", 2)
	for got := range heard {
		if got == "b" {
			return
		}
		// The server knows the session of a from before for a while: it may show it again.
	}
}

// oldNodes reads what masters wrote before Mesos 0.23 (reference row ZK-05).
func oldNodes(t *testing.T, server *zookeepertest.Server) {
	conn, _, err := zk.Connect([]string{server.Address}, timeout, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	old := info("old")
	data, err := codec.Protobuf.Marshal(&old)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range []struct {
		path string
		data []byte
	}{{"/old", nil}, {"/old/log_replicas", nil}, {"/old/info_0000000003", data}} {
		if _, err := conn.Create(node.path, node.data, 0, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
	}
	heard := watching(t, address(t, "zk://"+server.Address+"/old"))
	expect(t, heard, "old")
}
