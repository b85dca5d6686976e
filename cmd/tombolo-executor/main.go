// Command tombolo-executor is what agents start: the wrapper of every container
// (launch), the fetcher (fetch), and the executors of command tasks
// (command) and of task groups (default). Start reading at main.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tombolo-project/tombolo/agent/containers"
	"github.com/tombolo-project/tombolo/agent/fetcher"
)

// exitCode ends the process with a status of somebody else's.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func main() {
	// Each container pays for these processes: rather collect garbage than grow.
	debug.SetGCPercent(50)
	root := &cobra.Command{
		Use: "tombolo-executor", Short: "What a Tombolo agent starts; not for people",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(launchCommand(), fetchCommand(), commandCommand(), defaultCommand())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := root.ExecuteContext(ctx)
	stop()
	if code, ok := errors.AsType[exitCode](err); ok {
		os.Exit(int(code))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tombolo-executor:", err)
		os.Exit(1)
	}
}

// launchCommand is the wrapper that an agent puts between itself and an executor.
func launchCommand() *cobra.Command {
	var status string
	cmd := &cobra.Command{
		Use: "launch --status FILE 3<ORDERS", Short: "Run one executor in a container that the agent has prepared",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			debug.SetGCPercent(20)
			orders := os.NewFile(3, "orders")
			if orders == nil {
				return errors.New("file descriptor 3 must bring the orders: this command is for the agent")
			}
			syscall.CloseOnExec(3)
			code, err := containers.RunWrapper(orders, status)
			if err != nil {
				fmt.Fprintln(os.Stderr, "tombolo-executor launch:", err)
			}
			return exitCode(code)
		},
	}
	cmd.Flags().StringVar(&status, "status", "", "file that gets the executor's wait status")
	_ = cmd.MarkFlagRequired("status")
	return cmd
}

// fetchCommand runs as the task's user.
func fetchCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "fetch --directory DIR <URIS", Short: "Bring files into a sandbox", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var uris []fetcher.URI
			if err := json.NewDecoder(io.LimitReader(os.Stdin, 1<<20)).Decode(&uris); err != nil {
				return fmt.Errorf("list of URIs on standard input: %w", err)
			}
			return fetcher.Fetch(cmd.Context(), uris, dir, os.Stderr)
		},
	}
	cmd.Flags().StringVar(&dir, "directory", "", "the sandbox")
	_ = cmd.MarkFlagRequired("directory")
	return cmd
}
