package core

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"

	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// An operator plans and does the maintenance of machines (reference rows OP1-22 to
// OP1-24). The schedule and the machines' modes are those of the registry, s.reg:
//
//	UP -> (in the schedule) -> DRAINING: offers say when; inverse offers ask for what runs there
//	DRAINING -> (START_MAINTENANCE) -> DOWN: its agents are shut down and let in no more
//	DOWN -> (STOP_MAINTENANCE) -> UP, and out of the schedule

// ScheduleWanted says that an operator replaces the maintenance schedule.
type ScheduleWanted struct {
	Request RequestID
	Windows []maintenance.Window
}

// MachinesDownWanted says that an operator begins the maintenance of machines.
type MachinesDownWanted struct {
	Request  RequestID
	Machines []mesos.MachineID
}

// MachinesUpWanted says that an operator ends the maintenance of machines.
type MachinesUpWanted struct {
	Request  RequestID
	Machines []mesos.MachineID
}

func (ScheduleWanted) event()     {}
func (MachinesDownWanted) event() {}
func (MachinesUpWanted) event()   {}

// maxMachines is how many machines a schedule, and a list of machines, can have.
const maxMachines = 5000

// downMessage is what agents and frameworks are told when a machine goes down.
const downMessage = "Operator initiated 'Machine DOWN'"

// setSchedule answers UPDATE_MAINTENANCE_SCHEDULE (reference row OP1-23).
func (s *State) setSchedule(e ScheduleWanted) {
	s.decide(e.Request, func() {
		if err := s.validSchedule(e.Windows); err != nil {
			s.reply(e.Request, 400, "%s", err)
			return
		}
		before := s.reg.Machines
		s.writeDecision(e.Request, RegistryChange{Kind: SetSchedule, Schedule: e.Windows}, func() {
			for _, a := range s.sortedAgents() {
				_, was := before[a.machine()]
				if _, is := s.reg.Machines[a.machine()]; was || is {
					s.scheduleChanged(a)
				}
			}
		})
	})
}

// validSchedule checks a schedule by itself and against the machines that are down. The texts are Mesos's.
func (s *State) validSchedule(windows []maintenance.Window) error {
	seen := map[Machine]bool{}
	for _, w := range windows {
		if len(w.MachineIDs) == 0 {
			return fmt.Errorf("List of machines in the maintenance window is empty") //nolint:staticcheck // Mesos's text
		}
		if w.Unavailability.GetDuration().GetNanoseconds() < 0 {
			return fmt.Errorf("Unavailability 'duration' is negative")
		}
		if err := validMachines(w.MachineIDs, seen); err != nil {
			return err
		}
	}
	for _, m := range s.sortedMachines() {
		if m.GetMode() == mesos.DOWN && !seen[MachineOf(m.ID)] {
			return fmt.Errorf("Machine '%s' is deactivated and cannot be removed from the schedule", machineJSON(m.ID))
		}
	}
	return nil
}

// validMachines checks machines by themselves; seen has those that came before, and gets these.
func validMachines(list []mesos.MachineID, seen map[Machine]bool) error {
	for _, id := range list {
		if id.GetHostname() == "" && id.GetIP() == "" {
			return fmt.Errorf("Both 'hostname' and 'ip' for a machine are empty")
		}
		if ip := id.GetIP(); ip != "" {
			if address, err := netip.ParseAddr(ip); err != nil || !address.Is4() {
				return fmt.Errorf("Failed to parse IPv4: %s", ip)
			}
		}
		if seen[MachineOf(id)] {
			return fmt.Errorf("Machine '%s' appears more than once in the schedule", machineJSON(id))
		}
		seen[MachineOf(id)] = true
		if len(seen) > maxMachines {
			return fmt.Errorf("%d machines at once are too many; at most %d can be", len(seen), maxMachines)
		}
	}
	return nil
}

// machinesDown answers START_MAINTENANCE (reference row OP1-24).
func (s *State) machinesDown(e MachinesDownWanted) {
	s.decide(e.Request, func() {
		if err := s.validModes(e.Machines, mesos.DRAINING, "is not in DRAINING mode and cannot be brought down"); err != nil {
			s.reply(e.Request, 400, "%s", err)
			return
		}
		s.writeDecision(e.Request, RegistryChange{Kind: StartMaintenance, Machines: e.Machines}, func() {
			for _, a := range s.sortedAgents() {
				if s.down(a.machine()) {
					s.shutDownForMaintenance(a)
				}
			}
		})
	})
}

// machinesUp answers STOP_MAINTENANCE (reference row OP1-24).
func (s *State) machinesUp(e MachinesUpWanted) {
	s.decide(e.Request, func() {
		if err := s.validModes(e.Machines, mesos.DOWN, "is not in DOWN mode and cannot be brought up"); err != nil {
			s.reply(e.Request, 400, "%s", err)
			return
		}
		s.writeDecision(e.Request, RegistryChange{Kind: StopMaintenance, Machines: e.Machines}, func() {
			for _, a := range s.sortedAgents() { // one whose removal is not stored yet
				if _, scheduled := s.reg.Machines[a.machine()]; !scheduled && a.upkeep != nil {
					s.scheduleChanged(a)
				}
			}
		})
	})
}

// validModes checks a list of machines, and that all are in a mode.
func (s *State) validModes(list []mesos.MachineID, want mesos.MachineInfo_Mode, otherwise string) error {
	if len(list) == 0 {
		return fmt.Errorf("List of machines is empty")
	}
	if err := validMachines(list, map[Machine]bool{}); err != nil {
		return err
	}
	for _, id := range list {
		m, scheduled := s.reg.Machines[MachineOf(id)]
		switch {
		case !scheduled && !s.hasAgents(MachineOf(id)):
			return fmt.Errorf("Machine '%s' is not part of a maintenance schedule", machineJSON(id))
		case !scheduled || m.GetMode() != want:
			return fmt.Errorf("Machine '%s' %s", machineJSON(id), otherwise)
		}
	}
	return nil
}

func (s *State) hasAgents(m Machine) bool {
	for _, a := range s.agents {
		if a.machine() == m {
			return true
		}
	}
	return false
}

// down says whether a machine is under maintenance.
func (s *State) down(m Machine) bool {
	info, scheduled := s.reg.Machines[m]
	return scheduled && info.GetMode() == mesos.DOWN
}

// refuseDown shuts an agent down that wants to be let in from a machine under
// maintenance (reference row 5.3, step 4).
func (s *State) refuseDown(pid string, info *mesos.AgentInfo) bool {
	if !s.down(Machine{Hostname: strings.ToLower(info.Hostname), IP: upidIP(pid)}) {
		return false
	}
	text := "Machine is `DOWN`"
	s.emit(SendAgent{PID: pid, Message: &messages.ShutdownMessage{Message: &text}})
	s.note("agent refused: its machine is under maintenance", "pid", pid, "hostname", info.Hostname)
	return true
}

// shutDownForMaintenance ends an agent whose machine goes down. Its tasks are told to be
// lost whether or not it hears of its end.
func (s *State) shutDownForMaintenance(a *agent) {
	text := downMessage
	s.deactivate(a)
	s.sendAgent(a, &messages.ShutdownMessage{Message: &text})
	s.removeForMaintenance(a.id)
}

// removeForMaintenance forgets an agent that was shut down, as soon as that is stored.
func (s *State) removeForMaintenance(id string) {
	s.whenSettled(0, id, func() {
		a := s.agents[id]
		if a == nil {
			return
		}
		s.transition(RegistryChange{Kind: RemoveAgent, Agent: agentNamed(id)}, &admission{
			then:   func(RegistryChange, *admission) { s.removeAgent(a, downMessage) },
			failed: func(error) { s.timers.add(timer{at: s.now.Add(s.cfg.AgentPingTimeout), kind: removeAgain, id: id}) },
		})
	})
}

// scheduleChanged tells those who hold something of an agent that the time of its
// maintenance is another. As in Mesos that is so whenever a schedule names its machine,
// even at the time of before: frameworks are to look at the whole schedule again.
func (s *State) scheduleChanged(a *agent) {
	for _, o := range sortedOffers(a.offers) {
		s.rescind(o)
	}
	s.rescindInverse(a)
	s.planUpkeep(a)
	s.allocateOn(a.id)
	s.touch(nil, a)
}

// sortedMachines lists the machines that are not UP.
func (s *State) sortedMachines() []mesos.MachineInfo {
	keys := make([]Machine, 0, len(s.reg.Machines))
	for m := range s.reg.Machines {
		keys = append(keys, m)
	}
	sort.Slice(keys, func(i, j int) bool {
		return keys[i].Hostname < keys[j].Hostname || keys[i].Hostname == keys[j].Hostname && keys[i].IP < keys[j].IP
	})
	list := make([]mesos.MachineInfo, len(keys))
	for i, m := range keys {
		list[i] = s.reg.Machines[m]
	}
	return list
}

// clusterStatus says which machines are not UP, and what frameworks say to that (reference row OP1-22).
func (s *State) clusterStatus() maintenance.ClusterStatus {
	var status maintenance.ClusterStatus
	on := map[Machine][]*agent{}
	for _, id := range sortedKeys(s.upkeeps) {
		a := s.agents[id]
		on[a.machine()] = append(on[a.machine()], a)
	}
	for _, m := range s.sortedMachines() {
		if m.GetMode() == mesos.DOWN {
			status.DownMachines = append(status.DownMachines, m.ID)
			continue
		}
		d := maintenance.ClusterStatus_DrainingMachine{ID: m.ID}
		for _, a := range on[MachineOf(m.ID)] {
			for _, framework := range sortedKeys(a.upkeep.answers) {
				d.Statuses = append(d.Statuses, a.upkeep.answers[framework])
			}
		}
		status.DrainingMachines = append(status.DrainingMachines, d)
	}
	return status
}

// machineJSON is a machine as the texts of errors name it.
func machineJSON(id mesos.MachineID) string {
	data, err := codec.JSON.Marshal(&id)
	if err != nil {
		return machineText(id)
	}
	return string(data)
}
