package containers

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Spec says what to run and how. It is passed to the wrapper through a pipe,
// never through arguments or a file, because Env may hold secrets.
type Spec struct {
	ID        string    `json:"id"`      // container id, reference row LCH-05; that of a nested one is "<id of its parent>.<own>"
	Path      string    `json:"path"`    // the executor's binary
	Args      []string  `json:"args"`    // argv, with argv[0]
	Env       []string  `json:"env"`     // whole environment, NAME=value
	Dir       string    `json:"dir"`     // working directory: the sandbox
	User      *User     `json:"user"`    // nil: as the agent
	Rlimits   []Rlimit  `json:"rlimits"` // applied before the executor starts
	Forward   bool      `json:"forward"` // signals to the wrapper go to the process
	Stdout    string    `json:"-"`       // file, created when missing
	Stderr    string    `json:"-"`
	Resources Resources `json:"-"`
}

// User is a resolved identity.
type User struct {
	Name   string   `json:"name"`
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups"`
}

// Rlimit is one resource limit; Type is the number of the Linux RLIMIT_*.
type Rlimit struct {
	Type int    `json:"type"`
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// Resources is what a container may use. CPUs are cores, memory is bytes.
type Resources struct {
	CPUs     float64 // guaranteed share
	CPULimit float64 // hard cap in cores; 0: none
	Mem      int64   // guaranteed memory (soft limit)
	MemLimit int64   // hard limit; 0: none
}

// Exit tells how a container ended.
type Exit struct {
	// Status is the executor's wait status as of waitpid (exit code 3 = 768), nil when
	// nobody could learn it, such as after a reboot.
	Status *int
	// OOM is set when the kernel killed a process because of the container's limit.
	OOM *OOM
	// Destroyed is true when Destroy was asked for before the executor ended.
	Destroyed bool
}

// OOM describes a memory limit that was hit; bytes.
type OOM struct {
	Limit, Usage int64
}

// Usage is what a container has used; times in seconds, memory in bytes.
type Usage struct {
	Timestamp                  time.Time
	Cgroups                    bool // false: only times, RSS and processes are known
	CPUUser, CPUSystem         float64
	CPULimit, CPUSoftLimit     float64
	Periods, Throttled         uint64
	ThrottledTime              float64
	MemTotal, MemRSS, MemCache uint64
	MemMappedFile, MemSwap     uint64
	MemLimit, MemSoftLimit     uint64
	Processes, Threads         uint32
}

// ErrUnknown is returned for a container that this manager does not have.
var ErrUnknown = errors.New("no such container")

// Limits of what a caller may ask for; reference section 4.8.
const (
	minShares   = 2
	cpuPeriod   = 100_000 // microseconds
	minCPUQuota = 1_000   // microseconds
	minMemory   = 32 << 20
)

// validID: letters, digits, - and _, at most 242 with those of its parents (row LCH-05). By
// hand: compiling an expression would cost every container's start a millisecond.
func validID(id string) bool {
	for part := range strings.SplitSeq(id, ".") {
		if !validPart(part) {
			return false
		}
	}
	return len(id) <= 242
}

func validPart(part string) bool {
	for _, r := range part {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_') {
			return false
		}
	}
	return part != ""
}

// validate reports a Spec that can't be run at all.
func (s *Spec) validate() error {
	switch {
	case !validID(s.ID):
		return fmt.Errorf("container id %q: only letters, digits, - and _ are allowed, at most 242", s.ID)
	case s.Path == "" || len(s.Args) == 0:
		return fmt.Errorf("container %q: no command to run", s.ID)
	case !filepath.IsAbs(s.Dir):
		return fmt.Errorf("container %q: sandbox %q is not an absolute path", s.ID, s.Dir)
	}
	return nil
}
