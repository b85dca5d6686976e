// Package registry keeps what outlives the master: which agents it admitted,
// which of them are lost, what operators decided, and its frameworks (core.Registry). Start reading
// at Registry; Memory and Etcd implement it, and registrytest.Run holds both to it.
package registry

import (
	"context"
	"sync"

	"github.com/tombolo-project/tombolo/master/core"
)

// Registry is durable storage for a core.Registry.
type Registry interface {
	// Load returns all that is stored. The caller owns the result.
	Load(ctx context.Context) (*core.Registry, error)
	// Apply makes changes durable, in order, all or none. It has happened when Apply returns nil.
	Apply(ctx context.Context, changes []core.RegistryChange) error
	// Close frees what the registry holds; nothing may be called afterwards.
	Close() error
}

// Memory is a Registry that forgets everything with the process (--registry=in_memory).
type Memory struct {
	mu    sync.Mutex // protects state
	state *core.Registry
}

// NewMemory returns an empty registry in memory.
func NewMemory() *Memory { return &Memory{state: core.NewRegistry()} }

// Load implements Registry.
func (m *Memory) Load(context.Context) (*core.Registry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Clone(), nil
}

// Apply implements Registry.
func (m *Memory) Apply(_ context.Context, changes []core.RegistryChange) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		m.state.Apply(c)
	}
	return nil
}

// Close implements Registry.
func (m *Memory) Close() error { return nil }
