package core

import (
	"fmt"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
)

// ValidRole says why name is no role, or nil (reference row SUB-04).
func ValidRole(name string) error {
	if name == "*" {
		return nil
	}
	switch {
	case strings.HasPrefix(name, "/"):
		return fmt.Errorf("Role '%s' cannot start with a slash", name) //nolint:staticcheck // the texts here are Mesos's own
	case strings.HasSuffix(name, "/"):
		return fmt.Errorf("Role '%s' cannot end with a slash", name)
	case strings.Contains(name, "//"):
		return fmt.Errorf("Role '%s' cannot contain two adjacent slashes", name)
	case name == "":
		return fmt.Errorf("Role names cannot be the empty string")
	}
	for _, part := range strings.Split(name, "/") {
		if err := validRolePart(name, part); err != nil {
			return err
		}
	}
	return nil
}

func validRolePart(name, part string) error {
	switch {
	case part == "." || part == ".." || part == "*":
		return fmt.Errorf("Role '%s' cannot include '%s' as a component", name, part)
	case strings.HasPrefix(part, "-"):
		return fmt.Errorf("Role component '%s' is invalid because it starts with a dash", part)
	case strings.ContainsAny(part, "\t\n\v\f\r \x7f"):
		return fmt.Errorf("Role component '%s' is invalid because it contains backspace or whitespace", part)
	}
	return nil
}

// rolesOf returns the roles a framework subscribes with (reference row SUB-03).
func rolesOf(info *mesos.FrameworkInfo) []string {
	if hasCapability(info, mesos.FrameworkInfo_Capability_MULTI_ROLE) {
		return info.Roles
	}
	return []string{info.GetRole()}
}

func hasCapability(info *mesos.FrameworkInfo, t mesos.FrameworkInfo_Capability_Type) bool {
	for _, c := range info.Capabilities {
		if c.Type == t {
			return true
		}
	}
	return false
}

// validRoles checks the role fields of a framework (reference rows SUB-03, SUB-04).
func (s *State) validRoles(info *mesos.FrameworkInfo) error {
	if hasCapability(info, mesos.FrameworkInfo_Capability_MULTI_ROLE) {
		if info.Role != nil {
			return fmt.Errorf("'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable; use 'FrameworkInfo.roles'")
		}
	} else if len(info.Roles) > 0 {
		return fmt.Errorf("'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable")
	}
	seen := map[string]bool{}
	for _, role := range rolesOf(info) {
		if seen[role] {
			return fmt.Errorf("'FrameworkInfo.roles' contains %q twice", role)
		}
		seen[role] = true
		if err := ValidRole(role); err != nil {
			return fmt.Errorf("invalid role: %w", err)
		}
		if !s.allowedRole(role) {
			return fmt.Errorf("role %q is not present in the master's --roles", role)
		}
	}
	return nil
}

func (s *State) allowedRole(role string) bool {
	if len(s.cfg.Roles) == 0 || role == "*" {
		return true
	}
	for _, r := range s.cfg.Roles {
		if r == role {
			return true
		}
	}
	return false
}

// validFramework checks a FrameworkInfo (reference row SUB-02).
func (s *State) validFramework(info *mesos.FrameworkInfo) error {
	if err := s.validRoles(info); err != nil {
		return err
	}
	id := info.GetID().GetValue()
	if id != "" {
		if err := ValidID(id); err != nil {
			return err
		}
	}
	if _, err := offers.FrameworkOf("", *info, nil); err != nil { // looks at the offer filters
		return err
	}
	// Mesos keeps durations as nanoseconds in 64 bits.
	if t := info.GetFailoverTimeout(); !(t > -maxSeconds && t < maxSeconds) {
		return fmt.Errorf("The framework failover_timeout (%g) is invalid", t) //nolint:staticcheck // Mesos's text
	}
	if info.User == "root" && !s.cfg.RootSubmissions {
		return fmt.Errorf("User 'root' is not allowed to run frameworks without --root_submissions set") //nolint:staticcheck // Mesos's text
	}
	if f := s.frameworks[id]; s.removed[id] || f != nil && f.retiring {
		return fmt.Errorf("Framework has been removed") //nolint:staticcheck // Mesos's text
	}
	return nil
}

// maxSeconds is the longest duration Mesos can keep, in seconds.
const maxSeconds = float64(1<<63) / 1e9

// suppressible checks that roles to be suppressed are subscribed (reference row SUB-05).
func suppressible(subscribed map[string]bool, suppressed []string) error {
	var foreign []string
	for _, r := range suppressed {
		if !subscribed[r] {
			foreign = append(foreign, r)
		}
	}
	if len(foreign) > 0 {
		return fmt.Errorf("Suppressed roles { %s } are not contained in the set of roles", strings.Join(foreign, ", ")) //nolint:staticcheck // Mesos's text
	}
	return nil
}

// ValidID checks an id that a scheduler chose (reference row TV-01).
func ValidID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("ID must not be empty")
	case len(id) > 255:
		return fmt.Errorf("ID must not be greater than 255 characters")
	case id == "." || id == "..":
		return fmt.Errorf("'%s' is disallowed", id)
	}
	for _, c := range []byte(id) {
		if c < 0x20 || c == 0x7f || c == '/' || c == '\\' {
			return fmt.Errorf("'%s' contains invalid characters", id)
		}
	}
	return nil
}
