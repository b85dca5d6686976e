package registry

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	"github.com/mesos/mesos-go/api/v1/lib/quota"

	"github.com/tombolo-project/tombolo/master/core"
)

// The layout in etcd, one key per fact:
//
//	/tombolo/registry/admitted/<agent id>             AgentInfo, protobuf
//	/tombolo/registry/unreachable/<agent id>          since when, Unix nanoseconds in decimal
//	/tombolo/registry/gone/<agent id>                 likewise
//	/tombolo/registry/drains/<agent id>               DrainInfo, protobuf
//	/tombolo/registry/deactivated/<agent id>          empty
//	/tombolo/registry/weights/<role>                  decimal number
//	/tombolo/registry/quotas/<role>                   QuotaConfig, protobuf
//	/tombolo/registry/schedule/<8 digits>             maintenance Window, protobuf, in the order of the schedule
//	/tombolo/registry/machines/<hostname>/<ip>        MachineInfo, protobuf; both parts escaped as in URLs
//	/tombolo/registry/frameworks/<framework id>       JSON: info (FrameworkInfo, protobuf in base64), times in Unix nanoseconds
//	/tombolo/registry/minimum_capabilities/<name>     empty
const (
	root         = "/tombolo/registry/"
	admitted     = root + "admitted/"
	unreachable  = root + "unreachable/"
	gone         = root + "gone/"
	drains       = root + "drains/"
	deactivated  = root + "deactivated/"
	weights      = root + "weights/"
	quotas       = root + "quotas/"
	schedule     = root + "schedule/"
	machines     = root + "machines/"
	frameworks   = root + "frameworks/"
	capabilities = root + "minimum_capabilities/"
)

// facts is a part of the registry as keys and values.
type facts map[string]string

// about puts into f all facts that a change may alter, as they are in reg now.
func (f facts) about(reg *core.Registry, c core.RegistryChange) error {
	for capability := range reg.MinimumCapabilities {
		f[capabilities+capability.String()] = ""
	}
	switch c.Kind {
	case core.AdmitAgent, core.ReachableAgent, core.UnreachableAgent, core.RemoveAgent, core.GoneAgent,
		core.DrainAgent, core.DrainedAgent, core.DeactivateAgent, core.ReactivateAgent:
		return f.agent(reg, c.Agent.GetID().GetValue())
	case core.PruneAgents:
		for _, id := range c.IDs {
			if err := f.agent(reg, id); err != nil {
				return err
			}
		}
		return nil
	case core.SetWeights:
		for _, w := range c.Weights {
			if weight, ok := reg.Weights[w.GetRole()]; ok {
				f[weights+w.GetRole()] = strconv.FormatFloat(weight, 'g', -1, 64)
			}
		}
		return nil
	case core.SetQuotas:
		for _, q := range c.Quotas {
			if config, ok := reg.Quotas[q.Role]; ok {
				if err := f.put(quotas+q.Role, &config); err != nil {
					return err
				}
			}
		}
		return nil
	case core.SetSchedule, core.StartMaintenance, core.StopMaintenance:
		return f.maintenance(reg)
	case core.PutFramework, core.RemoveFramework:
		return f.framework(reg, c.Framework.Info.GetID().GetValue())
	default:
		return fmt.Errorf("registry change of unknown kind %d", c.Kind)
	}
}

// put stores a message.
func (f facts) put(key string, m interface{ Marshal() ([]byte, error) }) error {
	value, err := m.Marshal()
	if err != nil {
		return fmt.Errorf("encode the registry key %q: %w", key, err)
	}
	f[key] = string(value)
	return nil
}

func (f facts) agent(reg *core.Registry, id string) error {
	if at, ok := reg.Unreachable[id]; ok {
		f[unreachable+id] = strconv.FormatInt(at.UnixNano(), 10)
	}
	if at, ok := reg.Gone[id]; ok {
		f[gone+id] = strconv.FormatInt(at.UnixNano(), 10)
	}
	if reg.Deactivated[id] {
		f[deactivated+id] = ""
	}
	if drain, ok := reg.Drains[id]; ok {
		if err := f.put(drains+id, &drain); err != nil {
			return err
		}
	}
	if info, ok := reg.Admitted[id]; ok {
		return f.put(admitted+id, &info)
	}
	return nil
}

func (f facts) maintenance(reg *core.Registry) error {
	for i := range reg.Schedule {
		if err := f.put(fmt.Sprintf("%s%08d", schedule, i), &reg.Schedule[i]); err != nil {
			return err
		}
	}
	for m, info := range reg.Machines {
		if err := f.put(machines+url.PathEscape(m.Hostname)+"/"+url.PathEscape(m.IP), &info); err != nil {
			return err
		}
	}
	return nil
}

// storedFramework is the value of a framework's key.
type storedFramework struct {
	Info         []byte `json:"info"`
	Registered   int64  `json:"registered"`
	Disconnected int64  `json:"disconnected,omitempty"`
}

func (f facts) framework(reg *core.Registry, id string) error {
	r, ok := reg.Frameworks[id]
	if !ok {
		return nil
	}
	info, err := r.Info.Marshal()
	if err != nil {
		return fmt.Errorf("encode framework %s: %w", id, err)
	}
	s := storedFramework{Info: info, Registered: r.Registered.UnixNano()}
	if !r.Disconnected.IsZero() {
		s.Disconnected = r.Disconnected.UnixNano()
	}
	value, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode framework %s: %w", id, err)
	}
	f[frameworks+id] = string(value)
	return nil
}

// load puts one key into reg. Keys come in ascending order.
func load(reg *core.Registry, key string, value []byte) error {
	kind, name, _ := strings.Cut(strings.TrimPrefix(key, root), "/")
	switch root + kind + "/" {
	case admitted:
		return read(value, &mesos.AgentInfo{}, func(info *mesos.AgentInfo) { reg.Admitted[name] = *info })
	case unreachable:
		return readTime(value, func(at time.Time) { reg.Unreachable[name] = at })
	case gone:
		return readTime(value, func(at time.Time) { reg.Gone[name] = at })
	case drains:
		return read(value, &mesos.DrainInfo{}, func(drain *mesos.DrainInfo) { reg.Drains[name] = *drain })
	case deactivated:
		reg.Deactivated[name] = true
		return nil
	case weights:
		w, err := strconv.ParseFloat(string(value), 64)
		reg.Weights[name] = w
		return err
	case quotas:
		return read(value, &quota.QuotaConfig{}, func(q *quota.QuotaConfig) { reg.Quotas[name] = *q })
	case schedule:
		return read(value, &maintenance.Window{}, func(w *maintenance.Window) { reg.Schedule = append(reg.Schedule, *w) })
	case machines:
		return read(value, &mesos.MachineInfo{}, func(m *mesos.MachineInfo) { reg.Machines[core.MachineOf(m.ID)] = *m })
	case frameworks:
		return loadFramework(reg, name, value)
	case capabilities:
		capability, ok := mesos.MasterInfo_Capability_Type_value[name]
		if !ok {
			return fmt.Errorf("the registry needs a master with the capability %s, which this version lacks", name)
		}
		reg.MinimumCapabilities[mesos.MasterInfo_Capability_Type(capability)] = true
		return nil
	default:
		return fmt.Errorf("it is of no kind this version knows; was the registry written by a newer version?")
	}
}

func read[M interface{ Unmarshal([]byte) error }](value []byte, m M, put func(M)) error {
	if err := m.Unmarshal(value); err != nil {
		return err
	}
	put(m)
	return nil
}

func readTime(value []byte, put func(time.Time)) error {
	nanoseconds, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return err
	}
	put(time.Unix(0, nanoseconds))
	return nil
}

func loadFramework(reg *core.Registry, id string, value []byte) error {
	var s storedFramework
	if err := json.Unmarshal(value, &s); err != nil {
		return err
	}
	r := core.FrameworkRecord{Registered: time.Unix(0, s.Registered)}
	if s.Disconnected != 0 {
		r.Disconnected = time.Unix(0, s.Disconnected)
	}
	if err := r.Info.Unmarshal(s.Info); err != nil {
		return err
	}
	reg.Frameworks[id] = r
	return nil
}
