package security

// Principal is who a request comes from, as authentication found out. The zero Principal is nobody in particular: none
// was asked for. It never holds a secret.
type Principal struct {
	Name   string            // what access control lists speak of; empty for nobody and for bearers of claims alone
	Claims map[string]string // of a token, without its subject
}

// Anonymous says that nobody authenticated.
func (p Principal) Anonymous() bool { return p.Name == "" && len(p.Claims) == 0 }

// Nameless says that the principal authenticated, but only by claims. The master refuses those (reference rows SCH-02, OPR-02).
func (p Principal) Nameless() bool { return p.Name == "" && len(p.Claims) > 0 }
