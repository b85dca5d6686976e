package offers

// VisibleTo is the part whose roles are all visible: those of the reservations, and the one it is allocated to. What
// belongs to no role is visible to everybody.
func (r Resources) VisibleTo(visible func(role string) bool) Resources {
	return r.filter(func(e *entry) bool {
		if e.role != "" && !visible(e.role) {
			return false
		}
		id := e.id.Value()
		if id.depth == 0 {
			return true
		}
		for _, step := range decodeReservations(id.reservations) {
			if !visible(step.GetRole()) {
				return false
			}
		}
		return true
	})
}
