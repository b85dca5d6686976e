package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/tombolo-project/tombolo/executor/agentlink"
	"github.com/tombolo-project/tombolo/executor/taskgroup"
)

// defaultCommand is the executor of task groups that bring none of their own.
func defaultCommand() *cobra.Command {
	return &cobra.Command{
		Use: "default", Short: "Executor that runs groups of tasks in nested containers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := agentlink.FromEnvironment(slog.New(slog.NewTextHandler(os.Stderr, nil)))
			if err != nil {
				return err
			}
			return taskgroup.Run(cmd.Context(), cfg)
		},
	}
}
