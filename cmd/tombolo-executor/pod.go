package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/tombolo-project/tombolo/executor/pod"
)

// podCommand is the executor of Kubernetes pods: one per agent.
func podCommand() *cobra.Command {
	return &cobra.Command{
		Use: "pod", Short: "Executor that runs Kubernetes pods by a container runtime (CONTAINER_RUNTIME_ENDPOINT)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := pod.ConfigFromEnvironment(os.Getenv)
			if err != nil {
				return fmt.Errorf("pod executor: %w", err)
			}
			executor, err := pod.New(cmd.Context(), config, slog.New(slog.NewTextHandler(os.Stderr, nil)))
			if err != nil {
				return err
			}
			return executor.Run(cmd.Context())
		},
	}
}
