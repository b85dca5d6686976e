package charts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
)

// defaultTimeout bounds an action whose context has no deadline.
const defaultTimeout = 5 * time.Minute

// Cluster is where releases of the chart live: one namespace of one cluster. Releases are kept in Secrets of that
// namespace, as the helm command does, so either can take over from the other.
type Cluster struct {
	// Kubeconfig is the path of a kubeconfig file; its current context is used.
	Kubeconfig string
	// Namespace is made on installation when it is missing.
	Namespace string
	// Log receives Helm's own progress lines at debug level; nil discards them.
	Log *slog.Logger
}

// Install installs the chart under the given release name and waits until it is ready or ctx ends.
// A failed installation stays, as with the helm command, so that one can look at it; Uninstall removes it.
func (c Cluster) Install(ctx context.Context, name string, values map[string]any) (*release.Release, error) {
	config, err := c.configure()
	if err != nil {
		return nil, err
	}
	chart, err := Tombolo()
	if err != nil {
		return nil, err
	}
	install := action.NewInstall(config)
	install.ReleaseName = name
	install.Namespace = c.Namespace
	install.CreateNamespace = true
	install.Wait = true
	install.Timeout = timeoutOf(ctx)
	made, err := install.RunWithContext(ctx, chart, values)
	if err != nil {
		return made, fmt.Errorf("install release %s in namespace %s: %w", name, c.Namespace, err)
	}
	return made, nil
}

// Upgrade moves a release to new values, taking nothing over from the old ones, and waits until it is ready or ctx ends.
func (c Cluster) Upgrade(ctx context.Context, name string, values map[string]any) (*release.Release, error) {
	config, err := c.configure()
	if err != nil {
		return nil, err
	}
	chart, err := Tombolo()
	if err != nil {
		return nil, err
	}
	upgrade := action.NewUpgrade(config)
	upgrade.Namespace = c.Namespace
	upgrade.ResetValues = true
	upgrade.Wait = true
	upgrade.Timeout = timeoutOf(ctx)
	made, err := upgrade.RunWithContext(ctx, name, chart, values)
	if err != nil {
		return made, fmt.Errorf("upgrade release %s in namespace %s: %w", name, c.Namespace, err)
	}
	return made, nil
}

// Test runs the release's test hooks, as `helm test` does. The deadline of ctx bounds it.
func (c Cluster) Test(ctx context.Context, name string) error {
	config, err := c.configure()
	if err != nil {
		return err
	}
	test := action.NewReleaseTesting(config)
	test.Namespace = c.Namespace
	test.Timeout = timeoutOf(ctx)
	if _, err := test.Run(name); err != nil {
		return fmt.Errorf("test release %s in namespace %s: %w", name, c.Namespace, err)
	}
	return nil
}

// Uninstall removes a release and waits until its objects are gone; a release that is not there is no error.
// The deadline of ctx bounds it.
func (c Cluster) Uninstall(ctx context.Context, name string) error {
	config, err := c.configure()
	if err != nil {
		return err
	}
	uninstall := action.NewUninstall(config)
	uninstall.Wait = true
	uninstall.DeletionPropagation = "foreground"
	uninstall.Timeout = timeoutOf(ctx)
	if _, err := uninstall.Run(name); err != nil && !errors.Is(err, driver.ErrReleaseNotFound) {
		return fmt.Errorf("uninstall release %s in namespace %s: %w", name, c.Namespace, err)
	}
	return nil
}

func (c Cluster) configure() (*action.Configuration, error) {
	if c.Namespace == "" {
		return nil, errors.New("no namespace given for the release")
	}
	// Helm reports a missing kubeconfig as an unreachable localhost cluster.
	if _, err := os.Stat(c.Kubeconfig); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	settings := cli.New()
	settings.KubeConfig = c.Kubeconfig
	settings.SetNamespace(c.Namespace)
	config := new(action.Configuration)
	debug := func(format string, v ...any) { log.Debug("helm", "line", fmt.Sprintf(format, v...)) }
	if err := config.Init(settings.RESTClientGetter(), c.Namespace, "secret", debug); err != nil {
		return nil, fmt.Errorf("set up helm: %w", err)
	}
	return config, nil
}

// timeoutOf turns a context's deadline into the duration that Helm wants.
func timeoutOf(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return max(time.Until(deadline), time.Second)
	}
	return defaultTimeout
}
