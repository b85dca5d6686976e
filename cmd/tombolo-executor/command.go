package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/tombolo-project/tombolo/executor/agentlink"
	"github.com/tombolo-project/tombolo/executor/command"
)

// commandCommand is the executor of tasks that are just a command.
func commandCommand() *cobra.Command {
	return &cobra.Command{
		Use: "command", Short: "Executor that runs one command", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := agentlink.FromEnvironment(slog.New(slog.NewTextHandler(os.Stderr, nil)))
			if err != nil {
				return err
			}
			return command.Run(cmd.Context(), cfg)
		},
	}
}
