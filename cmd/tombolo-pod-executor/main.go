// Command tombolo-pod-executor runs the Kubernetes pods of one agent. It is a binary of its own
// because every command task pays for the size of tombolo-executor.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tombolo-project/tombolo/executor/pod"
)

func main() {
	debug.SetGCPercent(50) // the agent's pods pay for this process: rather collect garbage than grow
	cmd := &cobra.Command{
		Use: "tombolo-pod-executor", Short: "Executor that runs Kubernetes pods by a container runtime (CONTAINER_RUNTIME_ENDPOINT); agents start it",
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := pod.ConfigFromEnvironment(os.Getenv)
			if err != nil {
				return err
			}
			executor, err := pod.New(cmd.Context(), config, slog.New(slog.NewTextHandler(os.Stderr, nil)))
			if err != nil {
				return err
			}
			return executor.Run(cmd.Context())
		},
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := cmd.ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tombolo-pod-executor:", err)
		os.Exit(1)
	}
}
