package core

// Operators' decisions about the whole cluster (weights, quotas, maintenance) are
// checked against what is durable and made durable themselves before anything acts on
// them. So they are taken one after the other: each sees what the one before it did.
// Decisions about one agent wait for each other, and for the agent's coming and going.

// maxDecisions is how many decisions may wait for others; more are refused with 503.
const maxDecisions = 1000

// decisions are those about the whole cluster that wait until the one that is being written is done.
type decisions struct {
	writing bool
	waiting []func()
}

// decide takes a decision as soon as no other is being written. take either replies or calls writeDecision.
func (s *State) decide(request RequestID, take func()) {
	switch {
	case !s.decisions.writing:
		take()
	case len(s.decisions.waiting) >= maxDecisions:
		s.reply(request, 503, "%d changes wait to be written already; try again later", maxDecisions)
	default:
		s.decisions.waiting = append(s.decisions.waiting, take)
	}
}

// writeDecision makes a change durable, then acts, and answers the request with 200.
func (s *State) writeDecision(request RequestID, c RegistryChange, act func()) {
	s.decisions.writing = true
	s.write(c, &admission{
		request: request,
		then: func(RegistryChange, *admission) {
			act()
			s.reply(request, 200, "")
		},
		after: func() {
			s.decisions.writing = false
			for len(s.decisions.waiting) > 0 && !s.decisions.writing {
				next := s.decisions.waiting[0]
				s.decisions.waiting = s.decisions.waiting[1:]
				next()
			}
		},
	})
}

// whenSettled calls take as soon as no change of the agent's standing is being written.
func (s *State) whenSettled(request RequestID, id string, take func()) {
	_, busy := s.busyAgent[id]
	switch {
	case !busy:
		take()
	case len(s.unsettled[id]) >= maxDecisions:
		s.reply(request, 503, "%d changes of the agent wait to be written already; try again later", maxDecisions)
	default:
		s.unsettled[id] = append(s.unsettled[id], take)
	}
}

// settled goes on with what waited for an agent.
func (s *State) settled(id string) {
	for len(s.unsettled[id]) > 0 {
		if _, busy := s.busyAgent[id]; busy {
			return
		}
		next := s.unsettled[id][0]
		s.unsettled[id] = s.unsettled[id][1:]
		next()
	}
	delete(s.unsettled, id)
}

// writing says which change of an agent's standing is being written, 0 if none is.
func (s *State) writing(id string) RegistryKind {
	if w := s.admitting[s.busyAgent[id]]; w != nil {
		return w.kind
	}
	return 0
}
