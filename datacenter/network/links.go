package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// ErrTaken says that another datacenter, or something else on this machine, already
// uses the plan's addresses.
var ErrTaken = errors.New("addresses in use")

// Claim makes the bridge of a datacenter that does not exist yet, starting at the
// preferred number and taking the next free one. Creating the link is the claim, so
// two callers at once never get the same number.
func Claim(preferred, agents int) (Plan, error) {
	for i := range Numbers {
		plan, err := NewPlan((preferred+i)%Numbers, agents)
		if err != nil {
			return Plan{}, err
		}
		err = plan.claim()
		if err == nil {
			return plan, nil
		}
		if !errors.Is(err, ErrTaken) {
			return Plan{}, err
		}
	}
	return Plan{}, fmt.Errorf("all %d datacenter numbers are in use on this machine: stop one with tombolo down", Numbers)
}

func (p Plan) claim() error {
	taken, err := p.routed()
	if err != nil {
		return err
	}
	if taken {
		return ErrTaken
	}
	err = netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: p.Bridge}})
	if errors.Is(err, syscall.EEXIST) {
		return ErrTaken
	}
	if err != nil {
		return fmt.Errorf("add bridge %s: %w", p.Bridge, err)
	}
	return nil
}

// routed tells whether the machine already routes to an address of the plan.
func (p Plan) routed() (bool, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return false, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		ones, _ := r.Dst.Mask.Size()
		addr, ok := netip.AddrFromSlice(r.Dst.IP.To4())
		if !ok || ones == 0 {
			continue
		}
		dst := netip.PrefixFrom(addr, ones)
		if dst.Overlaps(p.Subnet) || dst.Overlaps(p.Pods) {
			return true, nil
		}
	}
	return false, nil
}

// Ensure makes bridge, namespaces, addresses and routes exist as planned. What is
// there already is left alone, so it also repairs a half-made network.
func (p Plan) Ensure() error {
	bridge, err := ensureBridge(p.Bridge, p.Gateway, p.Subnet.Bits())
	if err != nil {
		return err
	}
	for _, a := range p.Agents {
		if err := p.ensureAgent(a, bridge); err != nil {
			return fmt.Errorf("network of %s: %w", a.Name, err)
		}
		route := netlink.Route{LinkIndex: bridge.Attrs().Index, Dst: ipNet(a.Pods), Gw: a.Address.AsSlice()}
		if err := netlink.RouteReplace(&route); err != nil {
			return fmt.Errorf("route to the pods of %s: %w", a.Name, err)
		}
	}
	return p.ensureMasquerade()
}

func ensureBridge(name string, address netip.Addr, bits int) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		if err = netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}); err == nil {
			link, err = netlink.LinkByName(name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("bridge %s: %w", name, err)
	}
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(address, bits))}); err != nil {
		return nil, fmt.Errorf("address of bridge %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("bridge %s up: %w", name, err)
	}
	return link, nil
}

func (p Plan) ensureAgent(a Agent, bridge netlink.Link) error {
	if err := ensureNamespace(a.Namespace); err != nil {
		return err
	}
	ns, err := netns.GetFromName(a.Namespace)
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", a.Namespace, err)
	}
	defer ns.Close()
	inside, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("netlink in namespace %s: %w", a.Namespace, err)
	}
	defer inside.Close()
	if _, err := inside.LinkByName("eth0"); errors.As(err, &netlink.LinkNotFoundError{}) {
		if err := plug(a, bridge, ns); err != nil {
			return err
		}
	}
	if err := p.configureInside(a, inside); err != nil {
		return err
	}
	return Inside(a.NamespacePath(), func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
	})
}

// plug makes the veth pair between the bridge and the agent's namespace.
func plug(a Agent, bridge netlink.Link, ns netns.NsHandle) error {
	if old, err := netlink.LinkByName(a.Link); err == nil {
		if err := netlink.LinkDel(old); err != nil {
			return fmt.Errorf("remove old link %s: %w", a.Link, err)
		}
	}
	peer := a.Link + "p"
	attrs := netlink.LinkAttrs{Name: a.Link, MasterIndex: bridge.Attrs().Index}
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: peer, PeerNamespace: netlink.NsFd(int(ns))}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("add link %s: %w", a.Link, err)
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return fmt.Errorf("link %s up: %w", a.Link, err)
	}
	inside, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("netlink in namespace %s: %w", a.Namespace, err)
	}
	defer inside.Close()
	end, err := inside.LinkByName(peer)
	if err != nil {
		return fmt.Errorf("link %s: %w", peer, err)
	}
	if err := inside.LinkSetName(end, "eth0"); err != nil {
		return fmt.Errorf("rename %s to eth0: %w", peer, err)
	}
	return nil
}

func (p Plan) configureInside(a Agent, inside *netlink.Handle) error {
	lo, err := inside.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("link lo: %w", err)
	}
	eth, err := inside.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("link eth0: %w", err)
	}
	address := netip.PrefixFrom(a.Address, p.Subnet.Bits())
	if err := inside.AddrReplace(eth, &netlink.Addr{IPNet: ipNet(address)}); err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	for _, link := range []netlink.Link{lo, eth} {
		if err := inside.LinkSetUp(link); err != nil {
			return fmt.Errorf("link %s up: %w", link.Attrs().Name, err)
		}
	}
	routes := []netlink.Route{{LinkIndex: eth.Attrs().Index, Gw: p.Gateway.AsSlice()}}
	for _, other := range p.Agents {
		if other.Index != a.Index {
			routes = append(routes, netlink.Route{LinkIndex: eth.Attrs().Index, Dst: ipNet(other.Pods), Gw: other.Address.AsSlice()})
		}
	}
	for _, r := range routes {
		if err := inside.RouteReplace(&r); err != nil {
			return fmt.Errorf("route %s: %w", r, err)
		}
	}
	return nil
}

// Remove takes away everything Ensure may ever have made for this number, whatever
// the number of agents was. It goes on after an error and returns all of them.
func (p Plan) Remove() error {
	errs := []error{p.removeMasquerade()}
	links, err := netlink.LinkList()
	errs = append(errs, err)
	for _, link := range links {
		name := link.Attrs().Name
		if name == p.Bridge || strings.HasPrefix(name, fmt.Sprintf("tmb%da", p.Number)) {
			if err := netlink.LinkDel(link); err != nil && !errors.As(err, &netlink.LinkNotFoundError{}) && !errors.Is(err, syscall.ENODEV) {
				errs = append(errs, fmt.Errorf("remove link %s: %w", name, err))
			}
		}
	}
	namespaces, err := filepath.Glob(filepath.Join(NamespaceDir, fmt.Sprintf("tombolo-%d-agent-*", p.Number)))
	errs = append(errs, err)
	for _, path := range namespaces {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", path, err))
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove namespace: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Others tells whether the machine has the bridge of another datacenter.
func (p Plan) Others() (bool, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return false, fmt.Errorf("list links: %w", err)
	}
	for _, link := range links {
		name := link.Attrs().Name
		if link.Type() == "bridge" && strings.HasPrefix(name, "tombolo") && name != p.Bridge {
			return true, nil
		}
	}
	return false, nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}
