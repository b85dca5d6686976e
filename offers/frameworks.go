package offers

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// Capabilities are those capabilities of a framework that decide what it may be offered (reference section 1.12).
type Capabilities struct {
	MultiRole, GPUs, Revocable, Shared, ReservationRefinement, RegionAware bool
}

// Framework is what the allocator has to know of a framework.
type Framework struct {
	ID           string
	Roles        []string // subscribed roles; "*" is the default role
	Suppressed   []string // those of Roles that want no offers now
	Active       bool     // connected and not deactivated
	Capabilities Capabilities
	// Constraints say per role which agents the framework takes offers of (OFF-13); a role without one takes any.
	Constraints map[string]Constraint
	// MinAllocatable overrides Options.MinAllocatable per role; an empty list means no minimum (OFF-12).
	MinAllocatable map[string][]Quantities
}

// Constraint decides by what an agent says of itself whether a framework wants offers of it. It is a pure function: for one
// AgentInfo it answers the same for ever.
type Constraint func(*mesos.AgentInfo) bool

// FrameworkOf reads a FrameworkInfo as sent with SUBSCRIBE or UPDATE_FRAMEWORK; id is the id that the master gave it. The
// result is Active.
func FrameworkOf(id string, info mesos.FrameworkInfo, suppressed []string) (Framework, error) {
	f := Framework{ID: id, Active: true, Suppressed: slices.Clone(suppressed)}
	for _, c := range info.Capabilities {
		switch c.Type {
		case mesos.FrameworkInfo_Capability_MULTI_ROLE:
			f.Capabilities.MultiRole = true
		case mesos.FrameworkInfo_Capability_GPU_RESOURCES:
			f.Capabilities.GPUs = true
		case mesos.FrameworkInfo_Capability_REVOCABLE_RESOURCES:
			f.Capabilities.Revocable = true
		case mesos.FrameworkInfo_Capability_SHARED_RESOURCES:
			f.Capabilities.Shared = true
		case mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT:
			f.Capabilities.ReservationRefinement = true
		case mesos.FrameworkInfo_Capability_REGION_AWARE:
			f.Capabilities.RegionAware = true
		}
	}
	if f.Capabilities.MultiRole {
		f.Roles = slices.Clone(info.Roles)
	} else {
		f.Roles = []string{info.GetRole()}
	}
	for _, role := range f.Roles {
		if err := ValidateRole(role); err != nil {
			return Framework{}, fmt.Errorf("framework %s: %w", id, err)
		}
	}
	for role, filters := range info.OfferFilters {
		if filters.MinAllocatableResources == nil {
			continue
		}
		list := []Quantities{}
		for _, m := range filters.MinAllocatableResources.Quantities {
			q, err := quantitiesOf(m)
			if err != nil {
				return Framework{}, fmt.Errorf("framework %s: offer_filters of role %q: %w", id, role, err)
			}
			list = append(list, q)
		}
		if f.MinAllocatable == nil {
			f.MinAllocatable = map[string][]Quantities{}
		}
		f.MinAllocatable[role] = list
	}
	return f, nil
}

type framework struct {
	Framework
	known   bool               // false: only its bookings are known, it has not subscribed yet
	clients map[string]*client // by role
}

// client is a framework in one of its roles: what offers are made to.
type client struct {
	index      int // its bit in State.open and agent.marks
	framework  *framework
	role       *role
	subscribed bool // false: kept for its bookings only
	suppressed bool
	minimum    []requirement
	constraint Constraint // nil: any agent
	class      *class
	allocated  vector
	shared     copies
	count      uint64 // of bookings ever made; breaks ties (ALC-04)
	agents     int    // on which it holds something
}

func (c *client) wantsOffers() bool { return c.framework.Active && c.subscribed && !c.suppressed }

// PutFramework adds a framework (SUBSCRIBE) or replaces what is known of it (failover, UPDATE_FRAMEWORK). Refusals in
// roles that are kept stay, unless the role was suppressed and is not any more.
func (s *State) PutFramework(f Framework) {
	s.version++
	known := s.frameworkFor(f.ID)
	changed := !known.known || known.Capabilities != f.Capabilities
	known.Framework, known.known = f, true
	for _, role := range f.Roles {
		fresh := known.clients[role] == nil
		c := s.clientFor(known, role)
		suppressed := slices.Contains(f.Suppressed, role)
		minimum := s.minimumOf(f, role)
		constraint := f.Constraints[role]
		if !fresh && (changed || constraint != nil || c.constraint != nil || !c.subscribed || !slices.EqualFunc(c.minimum, minimum, slices.Equal)) {
			s.reopenClient(c)
		}
		if c.suppressed && !suppressed {
			s.forgetRefusals(c)
		}
		c.subscribed, c.suppressed, c.minimum, c.constraint = true, suppressed, minimum, constraint
		s.classify(c)
		s.setOpen(c)
	}
	for _, role := range sortedKeys(known.clients) {
		if c := known.clients[role]; !slices.Contains(f.Roles, role) {
			s.forgetRefusals(c)
			c.subscribed = false
			s.setOpen(c)
			s.dropIfIdle(c)
		}
	}
}

func (s *State) minimumOf(f Framework, role string) []requirement {
	if list, overridden := f.MinAllocatable[role]; overridden {
		return requirements(list)
	}
	return s.minimum
}

// DeactivateFramework stops offers to a framework (it is disconnected) and forgets its refusals. Bookings stay.
func (s *State) DeactivateFramework(id string) {
	if f := s.frameworks[id]; f != nil {
		s.version++
		f.Active = false
		for _, c := range f.clients {
			s.forgetRefusals(c)
			s.setOpen(c)
		}
	}
}

// RemoveFramework forgets a framework; what is still booked to it is released.
func (s *State) RemoveFramework(id string) {
	f := s.frameworks[id]
	if f == nil {
		return
	}
	s.DeactivateFramework(id)
	f.Roles = nil
	for _, a := range s.slots {
		if a == nil {
			continue
		}
		for _, h := range slices.Clone(a.held) {
			if h.client.framework == f {
				s.unbook(a, h.client, h.resources)
			}
		}
	}
	for _, role := range sortedKeys(f.clients) {
		f.clients[role].subscribed = false
		s.dropIfIdle(f.clients[role])
	}
	delete(s.frameworks, id)
}

// Suppress stops offers for the given roles, for all of the framework's roles if none is given (SEM-06).
func (s *State) Suppress(framework string, roles ...string) {
	s.version++
	for _, c := range s.clientsOf(framework, roles) {
		c.suppressed = true
		s.setOpen(c)
	}
}

// Revive undoes Suppress and forgets the framework's refusals, for the given roles or for all of them (OFF-11).
func (s *State) Revive(framework string, roles ...string) {
	s.version++
	for _, c := range s.clientsOf(framework, roles) {
		c.suppressed = false
		s.forgetRefusals(c)
		s.setOpen(c)
	}
}

// clientsOf are the framework's subscribed clients in the roles, in all roles if none is named.
func (s *State) clientsOf(id string, roles []string) []*client {
	f := s.frameworks[id]
	if f == nil {
		return nil
	}
	var out []*client
	for role, c := range f.clients {
		if c.subscribed && (len(roles) == 0 || slices.Contains(roles, role)) {
			out = append(out, c)
		}
	}
	return out
}

// clientOf is the framework in the role, or nil.
func (s *State) clientOf(framework, role string) *client {
	if f := s.frameworks[framework]; f != nil {
		return f.clients[role]
	}
	return nil
}

func (s *State) frameworkFor(id string) *framework {
	f := s.frameworks[id]
	if f == nil {
		f = &framework{Framework: Framework{ID: id}, clients: map[string]*client{}}
		s.frameworks[id] = f
	}
	return f
}

func (s *State) clientFor(f *framework, path string) *client {
	c := f.clients[path]
	if c != nil {
		return c
	}
	c = &client{index: len(s.clients), framework: f, role: s.role(path), minimum: s.minimum}
	if n := len(s.freeClient); n > 0 {
		c.index, s.freeClient = s.freeClient[n-1], s.freeClient[:n-1]
		s.clients[c.index] = c
	} else {
		s.clients = append(s.clients, c)
	}
	f.clients[path] = c
	c.role.enter(c)
	return c
}

// dropIfIdle forgets a client that is neither subscribed nor holds anything.
func (s *State) dropIfIdle(c *client) {
	if c.subscribed || c.agents > 0 {
		return
	}
	s.reopenClient(c)
	s.declassify(c)
	s.open.remove(c.index)
	s.clients[c.index] = nil
	s.freeClient = append(s.freeClient, c.index)
	maps.DeleteFunc(c.framework.clients, func(_ string, other *client) bool { return other == c })
	c.role.leave(c)
	s.prune(c.role)
	if f := c.framework; !f.known && len(f.clients) == 0 {
		delete(s.frameworks, f.ID)
	}
}

func (s *State) setOpen(c *client) {
	if c.wantsOffers() {
		s.open.add(c.index)
	} else {
		s.open.remove(c.index)
	}
}

// reopenClient makes every agent look at the client afresh.
func (s *State) reopenClient(c *client) {
	for _, a := range s.slots {
		if a != nil {
			a.reopenFor(c)
		}
	}
}
