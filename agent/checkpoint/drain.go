package checkpoint

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/mesos/mesos-go/api/v1/lib"
)

func (s *Store) drainFile() string { return filepath.Join(s.dir(), "drain.config") }

// saveDrain writes the order to drain, or removes it when it is nil.
func (s *Store) saveDrain(config *mesos.DrainConfig) error {
	if config != nil {
		return writeRecord(s.drainFile(), config)
	}
	err := os.Remove(s.drainFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// recoverDrain reads the order to drain, nil if there is none.
func (s *Store) recoverDrain() (*mesos.DrainConfig, error) {
	config := &mesos.DrainConfig{}
	err := readRecord(s.drainFile(), config)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return config, nil
}
