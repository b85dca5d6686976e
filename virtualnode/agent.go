package virtualnode

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
)

// Agent is what the bridge knows about one Mesos agent, from the master's operator API.
type Agent struct {
	ID         string
	Hostname   string
	IP         string // the address in the agent's PID; empty if the master does not tell
	Attributes []mesos.Attribute
	Region     string // fault domain, empty if none
	Zone       string
	Version    string
	// Total is all that the agent has; Taken is what other frameworks use. What they are being offered
	// does not count: most of it comes back within a second, and a node that shrinks with each offer would have the
	// scheduler refuse pods that fit. A pod that is placed and then finds its room taken waits, visibly and bounded.
	Total Amounts
	Taken Amounts
	// Ports are the ports that are resources of the agent.
	Ports []mesos.Value_Range
	// Connected is false while the agent's link to the master is broken; it may come back with all its tasks.
	Connected bool
	// Leaving is true when an operator drains or has deactivated the agent: nothing new goes there.
	Leaving bool
	// Limits says that the agent understands TaskInfo.limits (Mesos 1.10 and later).
	Limits bool
}

// AgentFrom reads one agent of GET_AGENTS. uses is what this framework uses there at the moment of the answer;
// the rest of what is allocated belongs to others.
func AgentFrom(from *master.Response_GetAgents_Agent, uses Amounts) Agent {
	info := &from.AgentInfo
	agent := Agent{
		ID:         info.GetID().GetValue(),
		Hostname:   info.Hostname,
		IP:         addressOf(from.GetPID()),
		Attributes: info.Attributes,
		Region:     info.GetDomain().GetFaultDomain().GetRegion().Name,
		Zone:       info.GetDomain().GetFaultDomain().GetZone().Name,
		Version:    from.Version,
		Total:      Of(from.TotalResources),
		Ports:      PortsOf(from.TotalResources),
		Connected:  from.Active || from.GetDeactivated(),
		Leaving:    from.GetDeactivated() || from.DrainInfo != nil,
	}
	if from.TotalResources == nil {
		agent.Total, agent.Ports = Of(info.Resources), PortsOf(info.Resources)
	}
	agent.Taken = Of(from.AllocatedResources).Minus(uses).Floor()
	for _, c := range from.Capabilities {
		agent.Limits = agent.Limits || c.Type == mesos.AgentInfo_Capability_TASK_RESOURCE_LIMITS
	}
	return agent
}

// addressOf is the IP in a PID "slave(1)@10.0.0.7:5051".
func addressOf(pid string) string {
	_, address, found := strings.Cut(pid, "@")
	if !found {
		return ""
	}
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		address = address[:i]
	}
	return strings.Trim(address, "[]")
}

// NodeNames gives every agent a node name of its own: prefix and host name made fit for Kubernetes. A name once given
// stays (known: agent id to name). An agent that registers anew on the host of one that is gone takes over its name, so
// that a reinstalled agent is the same node. Where two live agents share a host name, or a node that is not ours has it
// (foreign), the later one gets its id's last part behind the name.
func NodeNames(agents []Agent, known map[string]string, foreign map[string]bool, prefix string) map[string]string {
	names := make(map[string]string, len(agents))
	taken := make(map[string]bool, len(agents))
	for _, a := range agents {
		if name, ok := known[a.ID]; ok && !taken[name] {
			names[a.ID] = name
			taken[name] = true
		}
	}
	for _, a := range agents {
		if _, ok := names[a.ID]; ok {
			continue
		}
		for n := 0; ; n++ {
			name := candidate(a, prefix, n)
			if taken[name] || foreign[name] {
				continue
			}
			names[a.ID] = name
			taken[name] = true
			break
		}
	}
	return names
}

// candidate is the n-th choice for an agent's node name.
func candidate(a Agent, prefix string, n int) string {
	name := sanitise(prefix + a.Hostname)
	switch n {
	case 0:
		return name
	case 1:
		return name + "-" + sanitise(a.ID[strings.LastIndexByte(a.ID, '-')+1:])
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(a.ID + strconv.Itoa(n))) // a hash never fails to write
	return fmt.Sprintf("%s-%08x", name, hash.Sum32())
}

// longestName leaves room for a suffix in the 63 characters of a label value (kubernetes.io/hostname).
const longestName = 50

// sanitise makes a lower-case DNS name: other characters become dashes, ends are trimmed.
func sanitise(name string) string {
	mapped := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, name)
	if len(mapped) > longestName {
		mapped = mapped[:longestName]
	}
	parts := strings.Split(mapped, ".")
	kept := parts[:0]
	for _, part := range parts {
		if part = strings.Trim(part, "-"); part != "" {
			kept = append(kept, part)
		}
	}
	if len(kept) == 0 {
		return "agent"
	}
	return strings.Join(kept, ".")
}
