package batch

import (
	"context"
	"net/http"

	"github.com/tombolo-project/tombolo/frameworks/service"
	"github.com/tombolo-project/tombolo/frameworks/store"
)

// Framework is the batch framework as a process: its core, its API, and the agents' files for logs.
type Framework struct {
	*service.Service
	core   *Core
	agents *http.Client
}

// Run runs the framework until ctx ends or it can't go on.
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
	core, err := NewCore(docs)
	if err != nil {
		return nil, err
	}
	f := &Framework{core: core, agents: &http.Client{Timeout: agentTimeout}}
	f.Service = service.New(config, core, s, func(any) bool { return false }, f.Handler())
	return f, nil
}
