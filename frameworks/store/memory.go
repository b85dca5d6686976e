package store

import (
	"context"
	"maps"
	"sync"
)

// Memory is a Store without a disk, for tests: Fail, when set, is asked before each write.
type Memory struct {
	Fail func([]Change) error

	mu   sync.Mutex
	docs map[string][]byte
}

// Load returns a copy of all documents.
func (m *Memory) Load(context.Context) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	docs := maps.Clone(m.docs)
	if docs == nil {
		docs = map[string][]byte{}
	}
	return docs, nil
}

// Write applies the changes at once, or none when Fail objects.
func (m *Memory) Write(_ context.Context, changes []Change) error {
	if m.Fail != nil {
		if err := m.Fail(changes); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs == nil {
		m.docs = map[string][]byte{}
	}
	for _, c := range changes {
		if c.Value == nil {
			delete(m.docs, c.Key)
		} else {
			m.docs[c.Key] = c.Value
		}
	}
	return nil
}

// Close does nothing: a Memory can be opened again, like a disk.
func (*Memory) Close() error { return nil }
