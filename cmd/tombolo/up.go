package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tombolo-project/tombolo/datacenter"
	"github.com/tombolo-project/tombolo/datacenter/images"
	"github.com/tombolo-project/tombolo/datacenter/state"
)

// upCommand starts a whole datacenter on this machine.
func upCommand() *cobra.Command {
	var config datacenter.Config
	var dir string
	var detach bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a whole datacenter on this machine",
		Long: `Starts a master, agents that are as separate as hosts (a network namespace and a
containerd each), a Kubernetes control plane, the bridge and the frameworks, and keeps
them running until Ctrl-C or tombolo down. A second up on the same directory finds the
Deployments, apps and jobs that it had, and starts their pods, instances and tasks anew.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			absolute, err := stateDirectory(dir)
			if err != nil {
				return err
			}
			config.Dir, config.Out, config.Log = absolute, cmd.OutOrStdout(), slog.Default()
			if config.Binary, err = os.Executable(); err != nil {
				return fmt.Errorf("find the tombolo binary: %w", err)
			}
			if config.Tools == "" {
				config.Tools = filepath.Join(filepath.Dir(config.Binary), "tools")
			}
			if config.Tools, err = filepath.Abs(config.Tools); err != nil {
				return fmt.Errorf("--tools-dir: %w", err)
			}
			if config.Kubeconfig != "" {
				if config.Kubeconfig, err = filepath.Abs(config.Kubeconfig); err != nil {
					return fmt.Errorf("--kubeconfig: %w", err)
				}
			}
			if detach {
				return datacenter.Detach(cmd.Context(), config)
			}
			return runUp(cmd.Context(), config)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dir, "dir", state.Default(), "directory of everything it keeps")
	flags.IntVar(&config.Agents, "agents", 0, fmt.Sprintf("number of agents (default %d, or as many as the directory had)", datacenter.DefaultAgents))
	flags.StringVar(&config.AgentResources, "agent-resources", "", "what each agent offers, like cpus:4;mem:2048 (default worked out from the machine, then kept)")
	flags.IntVar(&config.MasterPort, "master-port", 0, fmt.Sprintf("port of the master (default %d, then kept)", datacenter.DefaultMasterPort))
	flags.StringSliceVar(&config.Without, "without", nil, "parts to leave out: kubernetes, marathon, batch")
	flags.StringVar(&config.Kubeconfig, "kubeconfig", "", "use the cluster of this file instead of starting a control plane")
	flags.StringVar(&config.Tools, "tools-dir", "", "where make tools left containerd and Kubernetes (default tools beside the binary)")
	flags.BoolVar(&detach, "detach", false, "return when everything is up and leave it running")
	cmd.AddCommand(serveImagesCommand())
	return cmd
}

// runUp keeps the datacenter up until the context ends.
func runUp(ctx context.Context, config datacenter.Config) error {
	out := config.Out
	report, done := datacenter.Attach(out)
	config.Out = report
	d, err := datacenter.Up(ctx, config)
	if err == nil {
		d.Announce()
	}
	done(err)
	if err != nil {
		return err
	}
	<-ctx.Done()
	fmt.Fprintln(out, "stopping everything")
	return d.Stop()
}

// serveImagesCommand is the datacenter's image registry; up starts it.
func serveImagesCommand() *cobra.Command {
	var listen, tools string
	cmd := &cobra.Command{
		Use:    "serve-images",
		Short:  "Serve the images that need no network (a part of up)",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return images.Serve(cmd.Context(), listen, filepath.Join(tools, "images"), slog.Default())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", fmt.Sprintf("127.0.0.1:%d", images.Port), "address to serve on")
	cmd.Flags().StringVar(&tools, "tools-dir", "", "where make tools left its files")
	return cmd
}
