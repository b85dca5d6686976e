package marathon

import (
	"context"

	"github.com/google/uuid"

	"github.com/tombolo-project/tombolo/frameworks/service"
	"github.com/tombolo-project/tombolo/frameworks/store"
)

// Framework is Marathon as a process: its core, its API, health probes, and listeners of events.
type Framework struct {
	*service.Service
	core   *Core
	hub    *hub
	prober *prober
}

// Run runs a Marathon until ctx ends or it can't go on.
func Run(ctx context.Context, config service.Config) error {
	return service.Run(ctx, config, func(ctx context.Context, s store.Store) (*service.Service, error) {
		f, err := New(ctx, config, s)
		if err != nil {
			return nil, err
		}
		return f.Service, nil
	})
}

// New loads the state. Tests use it with a session of their own; Run is for everyone else.
func New(ctx context.Context, config service.Config, s store.Store) (*Framework, error) {
	docs, err := s.Load(ctx)
	if err != nil {
		return nil, err
	}
	core, err := NewCore(docs, config.Role, uuid.NewString)
	if err != nil {
		return nil, err
	}
	f := &Framework{core: core, hub: newHub()}
	f.prober = newProber(func(e Probed) { f.Post(e) })
	f.Service = service.New(config, core, s, f.perform, f.Handler())
	return f, nil
}

// perform carries out the effects that are Marathon's own; none of them waits.
func (f *Framework) perform(effect any) bool {
	switch e := effect.(type) {
	case Probe:
		f.prober.start(f.Context(), e)
	case Publish:
		f.hub.publish(e)
	default:
		return false
	}
	return true
}
