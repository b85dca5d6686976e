package datacenter

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/tombolo-project/tombolo/datacenter/images"
	"github.com/tombolo-project/tombolo/datacenter/processes"
	"github.com/tombolo-project/tombolo/datacenter/state"
)

// part is the Spec of one of our own subcommands.
func (d *Datacenter) part(name string, ready func(context.Context) error, args ...string) processes.Spec {
	return processes.Spec{
		Name: name, Path: d.config.Binary, Args: args, Dir: string(d.config.Dir), Cgroup: d.cgroup(name), Ready: ready,
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
}

// on is an address of the gateway.
func (d *Datacenter) on(port int) string {
	return net.JoinHostPort(d.plan.Gateway.String(), strconv.Itoa(port))
}

func (d *Datacenter) registry() string { return d.on(images.Port) }

func (d *Datacenter) registrySpec() processes.Spec {
	return d.part("images", answers("http://"+d.registry()+"/v2/library/busybox/manifests/latest"),
		"up", "serve-images", "--listen="+d.registry(), "--tools-dir="+d.config.Tools)
}

// answers asks a URL whether it answers with 200.
func answers(url string) func(context.Context) error {
	client := &http.Client{Timeout: 2 * time.Second}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, response.Status)
		}
		return nil
	}
}

func (d *Datacenter) startMesos(context.Context) error { return nil }

func (d *Datacenter) startFrameworks(context.Context) error { return nil }

func (c Config) checkKubeconfig() error { return nil }

func overcommit(state.Kept) string { return "" }
