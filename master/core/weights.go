package core

import (
	"fmt"
	"math"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// maxWeights is how many weights one change of the registry can hold.
const maxWeights = 100

// updateWeights answers a change of weights (reference rows OP1-15, ALC-06): it is
// checked as a whole, made durable, then applied.
func (s *State) updateWeights(e WeightsUpdated) {
	const invalid = "Failed to validate update weights request JSON"
	for _, w := range e.Weights {
		if err := ValidRole(w.GetRole()); err != nil {
			s.reply(e.Request, 400, invalid+": Invalid role '%s': %s", w.GetRole(), err)
			return
		}
		if !s.allowedRole(w.GetRole()) {
			s.reply(e.Request, 400, invalid+": Unknown role '%s'", w.GetRole())
			return
		}
		if !(w.Weight > 0) || math.IsInf(w.Weight, 1) {
			s.reply(e.Request, 400, invalid+" for role '%s': Invalid weight '%g': Weights must be positive", w.GetRole(), w.Weight)
			return
		}
	}
	if len(e.Weights) > maxWeights {
		s.reply(e.Request, 400, "%d weights at once are too many; at most %d can be set by one call", len(e.Weights), maxWeights)
		return
	}
	if len(e.Weights) == 0 {
		s.reply(e.Request, 200, "")
		return
	}
	s.decide(e.Request, func() {
		s.writeDecision(e.Request, RegistryChange{Kind: SetWeights, Weights: e.Weights}, func() { s.weightsWritten(e.Weights) })
	})
}

// weightsWritten applies weights that are durable now. As in Mesos, outstanding
// offers of the roles concerned are rescinded so that the new order shows at once.
func (s *State) weightsWritten(weights []mesos.WeightInfo) {
	roles := map[string]bool{}
	for _, w := range weights {
		s.setWeight(w.GetRole(), w.Weight)
		roles[w.GetRole()] = true
	}
	s.rescindFor(roles)
	s.allocateAll()
}

// rescindFor rescinds all offers if a role that has frameworks got another weight.
func (s *State) rescindFor(roles map[string]bool) {
	used := false
	for _, f := range s.frameworks {
		for _, r := range f.roles() {
			used = used || roles[r]
		}
	}
	if !used {
		return
	}
	for _, o := range sortedOffers(s.offers) {
		s.rescind(o)
	}
}

func (s *State) setWeight(role string, weight float64) {
	if err := s.ledger.SetWeight(role, weight); err != nil {
		panic(fmt.Sprintf("core: weight of role %s: %v", role, err))
	}
	s.weights[role] = weight
}

// weightInfos lists the weights that were set.
func (s *State) weightInfos() []mesos.WeightInfo {
	var list []mesos.WeightInfo
	for _, role := range sortedKeys(s.weights) {
		role := role
		list = append(list, mesos.WeightInfo{Role: &role, Weight: s.weights[role]})
	}
	return list
}
