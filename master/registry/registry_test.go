package registry_test

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tombolo-project/tombolo/master/registry"
	"github.com/tombolo-project/tombolo/master/registry/registrytest"
)

func TestMemory(t *testing.T) {
	registrytest.Run(t, false, func() registry.Registry { return registry.NewMemory() })
}

func TestEmbedded(t *testing.T) {
	dir := t.TempDir()
	registrytest.Run(t, true, func() registry.Registry {
		reg, _, err := registry.Embedded(t.Context(), dir, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return reg
	})
}

// Other parts keep their state in the master's etcd, so its address must serve.
func TestEmbeddedServesClients(t *testing.T) {
	reg, address, err := registry.Embedded(t.Context(), t.TempDir(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + address}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
}
