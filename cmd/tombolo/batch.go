package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tombolo-project/tombolo/frameworks/batch"
	"github.com/tombolo-project/tombolo/frameworks/placement"
)

// batchCommand is `tombolo batch`: without a subcommand it runs the batch framework, with one it is its client.
func batchCommand() *cobra.Command {
	var own frameworkFlags
	cmd := &cobra.Command{
		Use:   "batch",
		Short: "Run batch jobs: many tasks of one command",
		Long: `Without a subcommand, runs the batch framework. The subcommands speak to one that runs,
at --server or $TOMBOLO_BATCH. Flags of the framework are read from BATCH_<FLAG> too.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := environment(cmd, "BATCH_"); err != nil {
				return err
			}
			if own.config.State == "" {
				return errors.New("batch needs --state, for example --state=file:///var/lib/tombolo/batch (or one of the subcommands run, list, status, logs, cancel)")
			}
			config, err := own.listen("batch")
			if err != nil {
				return err
			}
			defer config.Listener.Close()
			return batch.Run(cmd.Context(), config)
		},
	}
	own.add(cmd, "batch", 8090)
	cmd.AddCommand(batchRun(), batchList(), batchStatus(), batchLogs(), batchCancel())
	return cmd
}

// client adds --server to a subcommand and returns what makes the client.
func client(cmd *cobra.Command) func() (*batch.Client, error) {
	server := os.Getenv("TOMBOLO_BATCH")
	if server == "" {
		server = "http://localhost:8090"
	}
	cmd.Flags().StringVar(&server, "server", server, "the batch framework (default from $TOMBOLO_BATCH)")
	return func() (*batch.Client, error) { return batch.NewClient(server) }
}

func batchRun() *cobra.Command {
	var spec batch.Spec
	var detach bool
	var env, constraints []string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGUMENT...]",
		Short: "Submit a job and wait for its end",
		Long: `Runs COMMAND as many times as --tasks says, each time with another $TASK_INDEX (from 0),
and waits. The exit status is 0 when every task finished, 1 when some failed, 130
when the job was canceled by Ctrl-C.`,
		Example: `  tombolo batch run --tasks 50 --cpus 0.5 -- sh -c 'echo part $TASK_INDEX'`,
		Args:    cobra.MinimumNArgs(1),
	}
	connect := client(cmd)
	flags := cmd.Flags()
	flags.IntVar(&spec.Tasks, "tasks", 1, "number of tasks")
	flags.Float64Var(&spec.Cpus, "cpus", 1, "CPUs of a task")
	flags.Float64Var(&spec.Mem, "mem", 128, "memory of a task in MiB")
	flags.Float64Var(&spec.Disk, "disk", 0, "disk of a task in MiB")
	flags.IntVar(&spec.Retries, "retries", 0, "further tries of a task that fails")
	flags.IntVar(&spec.Parallelism, "parallelism", 0, "tasks at one time (0: as many as fit)")
	flags.DurationVar(&timeout, "timeout", 0, "kill a try that takes longer (0: never)")
	flags.StringVar(&spec.Name, "name", "job", "name of the job")
	flags.StringVar(&spec.User, "user", "", "user that the tasks run as")
	flags.StringArrayVar(&env, "env", nil, "NAME=VALUE in the tasks' environment (repeatable)")
	flags.StringArrayVar(&constraints, "constraint", nil, "FIELD:OPERATOR[:VALUE], for example rack:LIKE:r[12] (repeatable)")
	flags.StringArrayVar(&spec.URIs, "uri", nil, "fetch this into the sandbox first (repeatable)")
	flags.BoolVar(&detach, "detach", false, "print the job's id and don't wait")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := connect()
		if err != nil {
			return err
		}
		spec.Command, spec.TimeoutSeconds, spec.Env = args, int(timeout.Round(time.Second).Seconds()), map[string]string{}
		for _, variable := range env {
			name, value, ok := strings.Cut(variable, "=")
			if !ok {
				return fmt.Errorf("--env %q is not NAME=VALUE", variable)
			}
			spec.Env[name] = value
		}
		for _, text := range constraints {
			constraint, err := placement.Parse(text)
			if err != nil {
				return fmt.Errorf("--constraint: %w", err)
			}
			spec.Constraints = append(spec.Constraints, constraint)
		}
		return runJob(cmd, c, spec, detach)
	}
	return cmd
}

// runJob submits a job and follows it; Ctrl-C cancels it.
func runJob(cmd *cobra.Command, c *batch.Client, spec batch.Spec, detach bool) error {
	job, err := c.Submit(cmd.Context(), spec)
	if err != nil {
		return err
	}
	if detach {
		fmt.Fprintln(cmd.OutOrStdout(), job.ID)
		return nil
	}
	progress := &batch.Progress{Out: os.Stderr, Terminal: term.IsTerminal(int(os.Stderr.Fd()))}
	id := job.ID
	job, err = c.Wait(cmd.Context(), id, progress.Show)
	progress.Done()
	if cmd.Context().Err() != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), 10*time.Second)
		defer cancel()
		if err := c.Cancel(ctx, id); err != nil {
			fmt.Fprintf(os.Stderr, "tombolo: job %s goes on: %v\n", id, err)
		} else {
			fmt.Fprintf(os.Stderr, "job %s is canceled\n", id)
		}
		return exitCode(130)
	}
	if err != nil {
		return err
	}
	if job.State != batch.JobFinished {
		fmt.Fprintf(os.Stderr, "job %s: %s; see `tombolo batch status %s`\n", job.ID, strings.ToLower(string(job.State)), job.ID)
		return exitCode(1)
	}
	return nil
}

func batchList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the jobs", Args: cobra.NoArgs}
	connect := client(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := connect()
		if err != nil {
			return err
		}
		jobs, err := c.Jobs(cmd.Context())
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "JOB\tSTATE\tFINISHED\tACTIVE\tPENDING\tFAILED\tCREATED")
		for _, j := range jobs {
			fmt.Fprintf(w, "%s\t%s\t%d/%d\t%d\t%d\t%d\t%s\n", j.ID, j.State, j.Counts.Finished, j.Tasks, j.Counts.Active,
				j.Counts.Pending, j.Counts.Failed, j.Created.Local().Format(time.DateTime))
		}
		return w.Flush()
	}
	return cmd
}

func batchStatus() *cobra.Command {
	cmd := &cobra.Command{Use: "status JOB", Short: "Show a job and its tasks", Args: cobra.ExactArgs(1)}
	connect := client(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := connect()
		if err != nil {
			return err
		}
		job, err := c.Job(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		tasks, err := c.Tasks(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "%s: %s, %d of %d finished, %d active, %d pending, %d failed, %d canceled\n", job.ID, job.State,
			job.Counts.Finished, job.Tasks, job.Counts.Active, job.Counts.Pending, job.Counts.Failed, job.Counts.Canceled)
		if job.Reason != "" {
			fmt.Fprintln(out, job.Reason)
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "TASK\tSTATE\tATTEMPTS\tHOST\tMESSAGE")
		for _, t := range tasks {
			fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%s\n", t.Index, t.State, t.Attempt, t.Host, t.Message)
		}
		return w.Flush()
	}
	return cmd
}

func batchLogs() *cobra.Command {
	var stderr bool
	cmd := &cobra.Command{Use: "logs JOB [TASK]", Short: "Print what tasks wrote", Args: cobra.RangeArgs(1, 2)}
	connect := client(cmd)
	cmd.Flags().BoolVar(&stderr, "stderr", false, "print stderr instead of stdout")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := connect()
		if err != nil {
			return err
		}
		file := "stdout"
		if stderr {
			file = "stderr"
		}
		if len(args) == 2 {
			n, err := strconv.Atoi(args[1])
			if err != nil {
				return fmt.Errorf("task %q is not a number", args[1])
			}
			return c.Log(cmd.Context(), args[0], n, file, cmd.OutOrStdout())
		}
		tasks, err := c.Tasks(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		for _, t := range tasks {
			if t.Attempt > 0 {
				if err := c.Log(cmd.Context(), args[0], t.Index, file, cmd.OutOrStdout()); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return cmd
}

func batchCancel() *cobra.Command {
	cmd := &cobra.Command{Use: "cancel JOB", Short: "End a job, or forget one that has ended", Args: cobra.ExactArgs(1)}
	connect := client(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := connect()
		if err != nil {
			return err
		}
		return c.Cancel(cmd.Context(), args[0])
	}
	return cmd
}
