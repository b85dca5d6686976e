package marathon

import (
	"time"
)

// Event is what Step takes in: facts (past tense) and commands (imperative).
type Event = any

// The facts, beside those of package service.
type (
	// Probed is the outcome of a Probe.
	Probed struct {
		Instance string
		Check    int
		Cause    string // "" = passed
	}
)

// The commands, from the REST API. Deployment is the id that the new deployment gets.
type (
	// PutApps creates or changes apps. Change makes the new definition of the present one (nil if there is none); its
	// errors are refusals.
	PutApps struct {
		Deployment string
		Force      bool
		Apps       []AppChange
	}
	// AppChange is one app of a PutApps.
	AppChange struct {
		ID     string
		Change func(present *App, versions map[string]*App) (*App, error)
	}
	// DeleteApp removes an app and its instances.
	DeleteApp struct {
		App, Deployment string
		Force           bool
	}
	// RestartApp replaces all instances of an app as an upgrade would.
	RestartApp struct {
		App, Deployment string
		Force           bool
	}
	// KillInstances kills instances by id. They are replaced, unless Scale takes the app down by as many; Wanted is
	// called with the chosen instances.
	KillInstances struct {
		App        string // "" = any
		Choose     func(*Instance) bool
		Scale      bool
		Force      bool
		Deployment string
		Chosen     *[]*Instance
	}
	// CancelDeployment ends a deployment: by a new one that goes back (Rollback is its id), or just so (Force).
	CancelDeployment struct {
		ID, Rollback string
		Force        bool
	}
	// ResetDelay ends an app's back-off.
	ResetDelay struct{ App string }
)

// Effect is what Step wants done.
type Effect = any

// The effects, beside the orders to the master (package orders).
type (
	// Probe makes one health check; its outcome comes back as Probed.
	Probe struct {
		Instance string
		Check    int
		Protocol string // HTTP, HTTPS or TCP
		Address  string // host:port
		Path     string
		Timeout  time.Duration
	}
	// Publish sends an event to the listeners of /v2/events.
	Publish struct {
		Type string
		Data map[string]any
	}
)
