package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"
)

// suite is what every Store promises: what was written is loaded again, in any amount, and deletes delete.
func suite(t *testing.T, open func() Store) {
	ctx := t.Context()
	s := open()
	var changes []Change
	for i := range 700 { // more than one transaction and more than one page
		changes = append(changes, Change{Key: fmt.Sprintf("task/%04d", i), Value: []byte(fmt.Sprint(i))})
	}
	if err := s.Write(ctx, changes); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(ctx, []Change{{Key: "task/0003"}, {Key: "absent"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	docs, err := s.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) != 699 || string(docs["task/0699"]) != "699" || docs["task/0003"] != nil {
		t.Fatalf("got %d documents, the last %q", len(docs), docs["task/0699"])
	}
}

func TestMemory(t *testing.T) {
	m := &Memory{}
	suite(t, func() Store { return m })
}

func TestEtcd(t *testing.T) {
	dir := t.TempDir()
	suite(t, func() Store {
		s, err := Open(context.Background(), "file://"+dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// A store in an etcd of someone else's, over TCP, shares it with others under its own path.
func TestRemoteEtcd(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel = t.TempDir(), "error"
	client := []url.URL{{Scheme: "http", Host: address}}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls, cfg.ListenPeerUrls = client, client, nil
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	<-server.Server.ReadyNotify()
	for _, path := range []string{"/a", "/b"} {
		suite(t, func() Store {
			s, err := Open(t.Context(), "etcd://"+address+path, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			return s
		})
	}
}

func TestNewestHolderWins(t *testing.T) {
	ctx := t.Context()
	first, err := Open(ctx, t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second := &Etcd{client: first.client, prefix: first.prefix, token: "second"}
	if _, err := second.client.Put(ctx, second.prefix+"owner", second.token); err != nil {
		t.Fatal(err)
	}
	if err := first.Write(ctx, []Change{{Key: "a", Value: []byte("1")}}); !errors.Is(err, ErrSuperseded) {
		t.Fatalf("the earlier holder wrote: %v", err)
	}
	if err := second.Write(ctx, []Change{{Key: "a", Value: []byte("2")}}); err != nil {
		t.Fatal(err)
	}
}

func TestBadAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"":                       "want etcd://",
		"zk://host:2181/x":       "want etcd://",
		"etcd://host:2379":       "want etcd://HOST:PORT/PATH",
		"etcd://host/x":          `"host" is not HOST:PORT`,
		"file:///proc/nowhere/x": "no such file",
	} {
		_, err := Open(t.Context(), address, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", address, err, want)
		}
	}
}
