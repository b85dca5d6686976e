// Command tombolo is every part of the datacenter in one binary: a subcommand
// each for the master, the agent, the bridge to Kubernetes and the frameworks, and
// `tombolo up` for all of them on one machine. Start reading at root.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// version is set when linking.
var version = "0.1.0-dev"

// exitCode is an error that only says how the process shall end; what there was
// to say has been said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := root().ExecuteContext(ctx)
	var code exitCode
	switch {
	case errors.As(err, &code):
		os.Exit(int(code))
	case err != nil:
		fmt.Fprintln(os.Stderr, "tombolo:", err)
		os.Exit(1)
	}
}

// logLevel is the least level that is logged; a master's operators may lower it for a while.
var logLevel = &slog.LevelVar{}

// parts are the subcommands, each in the file of its name.
var parts = []func() *cobra.Command{
	upCommand, downCommand,
	masterCommand, agentCommand, bridgeCommand,
	marathonCommand, batchCommand,
	explainCommand, probeCommand,
}

func root() *cobra.Command {
	var level, format string
	cmd := &cobra.Command{
		Use:   "tombolo",
		Short: "One datacenter for Kubernetes pods, batch jobs and plain processes",
		Long: `Tombolo is a Mesos-compatible master and agent, a bridge that shows every agent
to Kubernetes as a node, and frameworks for long-running processes and batch jobs.`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return setLogger(level, format)
		},
	}
	cmd.PersistentFlags().StringVar(&level, "log-level", "info", "least level that is logged: debug, info, warn or error")
	cmd.PersistentFlags().StringVar(&format, "log-format", "text", "form of the log on standard error: text or json")
	cmd.SetFlagErrorFunc(flagError)
	for _, part := range parts {
		cmd.AddCommand(part())
	}
	explainArguments(cmd)
	return cmd
}

// flagError says what is wrong with a flag in plain words, and where the flags are listed.
func flagError(cmd *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	if !errors.As(err, &value) {
		return fmt.Errorf("%w: %s --help lists the flags", err, cmd.CommandPath())
	}
	wanted := map[string]string{"int": "a whole number", "int64": "a whole number", "uint64": "a whole number", "float64": "a number", "bool": "true or false"}
	flag := value.GetFlag()
	if want, ok := wanted[flag.Value.Type()]; ok {
		return fmt.Errorf("--%s %q is not %s", flag.Name, value.GetValue(), want)
	}
	return fmt.Errorf("--%s %q: %w", flag.Name, value.GetValue(), value.Unwrap())
}

// explainArguments has every command that gets too few or too many arguments say what
// it takes.
func explainArguments(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		explainArguments(c)
		check := c.Args
		if check == nil {
			continue
		}
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return fmt.Errorf("%w; it is used as: %s", err, cmd.UseLine())
			}
			return nil
		}
	}
}

func setLogger(level, format string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("--log-level %q is none of debug, info, warn, error", level)
	}
	logLevel.Set(l)
	options := &slog.HandlerOptions{Level: logLevel}
	switch format {
	case "text":
		slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, options)))
	case "json":
		slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, options)))
	default:
		return fmt.Errorf("--log-format %q is neither text nor json", format)
	}
	return nil
}

// environment gives every flag of cmd that the command line does not set the value
// of the variable <prefix><FLAG>, as Mesos does with MESOS_. To be called first
// thing in RunE.
func environment(cmd *cobra.Command, prefix string) error {
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := prefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := os.LookupEnv(name)
		if !ok || f.Changed {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s=%q: %w", name, value, err))
		}
	})
	return errors.Join(errs...)
}
