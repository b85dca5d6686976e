// Package network gives every agent of a one-machine datacenter an address of its
// own: a bridge in the root network namespace, a namespace per agent behind it,
// a pod subnet per agent, and routes between all of them.
//
// Plan is pure arithmetic on the datacenter's number; Ensure and Remove (links.go)
// make the machine agree with it, and can be repeated. Start reading at Plan.
package network

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"path/filepath"
)

const (
	// Numbers is how many datacenters one machine can hold: the number is an octet of
	// each subnet.
	Numbers = 100
	// MaxAgents is how many agents fit in a datacenter's subnet.
	MaxAgents = 200

	firstAgentHost = 10 // agent k has the host number firstAgentHost + k
)

// NamespaceDir is where named network namespaces live, so that `ip netns` shows ours.
const NamespaceDir = "/run/netns"

// Plan says which addresses a datacenter of this number has. Everything Remove must
// find again follows from it.
type Plan struct {
	Number  int
	Bridge  string       // link in the root namespace
	Gateway netip.Addr   // the bridge's address; control plane and frameworks listen here
	Subnet  netip.Prefix // gateway and agents
	Pods    netip.Prefix // all pod subnets
	Agents  []Agent
}

// Agent is one agent's place in the network. Index counts from 1.
type Agent struct {
	Index     int
	Name      string // agent-1
	Namespace string // name under NamespaceDir
	Link      string // the bridge's end of the veth pair; the agent's end is eth0
	Address   netip.Addr
	Pods      netip.Prefix
}

// NamespacePath is the file that stands for the agent's namespace.
func (a Agent) NamespacePath() string { return filepath.Join(NamespaceDir, a.Namespace) }

// NewPlan lays out the datacenter of this number with so many agents.
func NewPlan(number, agents int) (Plan, error) {
	if number < 0 || number >= Numbers {
		return Plan{}, fmt.Errorf("datacenter number %d is not between 0 and %d", number, Numbers-1)
	}
	if agents < 1 || agents > MaxAgents {
		return Plan{}, fmt.Errorf("%d agents: a datacenter on one machine has between 1 and %d", agents, MaxAgents)
	}
	n := byte(number)
	plan := Plan{
		Number:  number,
		Bridge:  fmt.Sprintf("tombolo%d", number),
		Gateway: netip.AddrFrom4([4]byte{172, 30, n, 1}),
		Subnet:  netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 30, n, 0}), 24),
		Pods:    netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 100 + n, 0, 0}), 16),
	}
	for k := 1; k <= agents; k++ {
		plan.Agents = append(plan.Agents, Agent{
			Index:     k,
			Name:      fmt.Sprintf("agent-%d", k),
			Namespace: fmt.Sprintf("tombolo-%d-agent-%d", number, k),
			Link:      fmt.Sprintf("tmb%da%d", number, k),
			Address:   netip.AddrFrom4([4]byte{172, 30, n, byte(firstAgentHost + k)}),
			Pods:      netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 100 + n, byte(k), 0}), 24),
		})
	}
	return plan, nil
}

// Preferred is the number a datacenter in this directory would like, so that the same
// directory tends to get the same addresses on every machine.
func Preferred(dir string) int {
	h := fnv.New32a()
	h.Write([]byte(dir))
	return int(h.Sum32() % Numbers)
}
