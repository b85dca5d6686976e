package network

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
}

// made claims a datacenter's network, makes it and has it removed.
func made(t *testing.T, agents int) Plan {
	t.Helper()
	needRoot(t)
	p, err := Claim(Preferred(t.TempDir()), agents)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Remove(); err != nil {
			t.Errorf("remove: %v", err)
		}
	})
	if err := p.Ensure(); err != nil {
		t.Fatal(err)
	}
	return p
}

// talk connects from one namespace to a listener in another.
func talk(t *testing.T, from, to, address string) {
	t.Helper()
	var listener net.Listener
	err := Inside(to, func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(address, "0"))
		return err
	})
	if err != nil {
		t.Fatalf("listen on %s: %v", address, err)
	}
	defer listener.Close()
	err = Inside(from, func() error {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	if err != nil {
		t.Errorf("from %q to %s: %v", from, address, err)
	}
}

func TestAgentsGatewayAndPodsReachEachOther(t *testing.T) {
	p := made(t, 2)
	one, two := p.Agents[0], p.Agents[1]
	talk(t, one.NamespacePath(), two.NamespacePath(), two.Address.String())
	talk(t, two.NamespacePath(), "", p.Gateway.String())
	talk(t, "", one.NamespacePath(), one.Address.String())
	// A pod of agent 2 is an address of its pod subnet behind it.
	pod := two.Pods.Addr().Next().Next()
	err := Inside(two.NamespacePath(), func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		address, err := netlink.ParseAddr(pod.String() + "/32")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(lo, address)
	})
	if err != nil {
		t.Fatal(err)
	}
	talk(t, one.NamespacePath(), two.NamespacePath(), pod.String())
	talk(t, "", two.NamespacePath(), pod.String())
}

func TestEnsureRepairsAndAddsAgents(t *testing.T) {
	p := made(t, 1)
	more, err := NewPlan(p.Number, 2)
	if err != nil {
		t.Fatal(err)
	}
	link, err := netlink.LinkByName(p.Agents[0].Link)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := more.Ensure(); err != nil {
			t.Fatal(err)
		}
	}
	talk(t, more.Agents[0].NamespacePath(), more.Agents[1].NamespacePath(), more.Agents[1].Address.String())
}

func TestClaimsNeverShareANumber(t *testing.T) {
	first := made(t, 1)
	second, err := Claim(first.Number, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Remove()
	if first.Number == second.Number {
		t.Fatalf("both are %d", first.Number)
	}
	if err := first.claim(); !errors.Is(err, ErrTaken) {
		t.Errorf("claiming again: %v", err)
	}
}

func TestRemoveLeavesNothing(t *testing.T) {
	p := made(t, 3)
	for range 2 { // and can be repeated
		if err := p.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(NamespaceDir, strings.TrimSuffix(p.Agents[0].Namespace, "1")+"*")); len(left) > 0 {
		t.Errorf("namespaces are left: %v", left)
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Attrs().Name == p.Bridge || l.Attrs().Name == p.Agents[0].Link {
			t.Errorf("link %s is left", l.Attrs().Name)
		}
	}
	if taken, err := p.routed(); err != nil || taken {
		t.Errorf("routes are left (%v)", err)
	}
}
