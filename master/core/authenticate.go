package core

import (
	"fmt"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/security"
)

// This file asks the access control lists what frameworks and agents may do (reference section 6.4). What operators may
// do is asked at the door, in master/api.

// principalOf is who a framework's calls come from.
func principalOf(f *mesos.FrameworkInfo) security.Principal {
	return security.Principal{Name: f.GetPrincipal()}
}

// withPrincipal is a framework's description that names the principal who authenticated. One that names another was
// refused before.
func withPrincipal(info *mesos.FrameworkInfo, p security.Principal) *mesos.FrameworkInfo {
	if info.Principal != nil || p.Name == "" {
		return info
	}
	named := *info
	named.Principal = &p.Name
	return &named
}

// mayRegister says why a framework may not have the roles it asks for, or nil.
func (s *State) mayRegister(info *mesos.FrameworkInfo) error {
	roles := rolesOf(info)
	if s.cfg.ACLs.AuthorizeAll(principalOf(info), security.RegisterFramework, roles) {
		return nil
	}
	return fmt.Errorf("Not authorized to register framework %s with roles { %s }", info.GetID().GetValue(), strings.Join(roles, ", ")) //nolint:staticcheck // Mesos's text
}

// mayRun says why a framework may not run a task as its user, or nil.
func (s *State) mayRun(f *framework, t *mesos.TaskInfo) error {
	return s.may(f, security.RunDemand(t, &f.info))
}

func (s *State) mayRunAll(f *framework, tasks []mesos.TaskInfo) error {
	for i := range tasks {
		if err := s.mayRun(f, &tasks[i]); err != nil {
			return err
		}
	}
	return nil
}

// mayOperate says why a framework may not do an operation of an ACCEPT on resources, or nil.
func (s *State) mayOperate(f *framework, op *mesos.Offer_Operation) error {
	return s.may(f, security.OperationDemands(op)...)
}

func (s *State) may(f *framework, demands ...security.Demand) error {
	if d, denied := s.cfg.ACLs.Denied(principalOf(&f.info), demands); denied {
		return fmt.Errorf("Principal '%s' not authorized to %s", f.info.GetPrincipal(), d) //nolint:staticcheck // Mesos's text
	}
	return nil
}

// mayJoin says why an agent may not register, or nil (reference row 5.3, steps 2 and 4).
func (s *State) mayJoin(pid string, info *mesos.AgentInfo) error {
	p, authenticated := s.authenticated[pid]
	if s.cfg.AuthenticateAgents && !authenticated {
		return fmt.Errorf("the agent is not authenticated")
	}
	if d, denied := s.cfg.ACLs.Denied(p, security.RegisterAgentDemands(info)); denied {
		return fmt.Errorf("principal '%s' is not authorized to %s", p.Name, d)
	}
	return nil
}
