package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	neturl "net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tombolo-project/tombolo/security/authn"
)

const (
	maxExplanation = 256 << 20 // bytes of an answer of a master
	completionTime = 2 * time.Second
)

// explanation is what a master's /tombolo/explain answers.
type explanation struct {
	Framework string   `json:"framework_id"`
	Summary   []string `json:"summary"` // one sentence per role and kind of reason
	Reasons   []struct {
		Role     string `json:"role"`
		Agent    string `json:"agent_id"`
		Why      string `json:"why"` // for programs
		Sentence string `json:"reason"`
	} `json:"reasons"`
}

// explainer asks a master.
type explainer struct {
	master string
	client clientFlags
}

// explainCommand is `tombolo explain`: why a framework is offered nothing (design D12).
func explainCommand() *cobra.Command {
	var e explainer
	var agents, asJSON bool
	cmd := &cobra.Command{
		Use:   "explain FRAMEWORK",
		Short: "Say why a framework is offered nothing",
		Long: `Asks the master why a framework is offered nothing: in short, or per agent.
FRAMEWORK is an id; pressing Tab completes it.`,
		Example: "  tombolo explain --master 10.0.0.1:5050 --agents 6c3f-0001",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
			defer cancel()
			return e.frameworks(ctx), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := e.ask(cmd.Context(), "/tombolo/explain?framework_id="+neturl.QueryEscape(args[0]))
			if err != nil {
				return err
			}
			if asJSON {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), string(body))
				return err
			}
			var x explanation
			if err := json.Unmarshal(body, &x); err != nil {
				return fmt.Errorf("explain: the master's answer can't be read: %w", err)
			}
			return x.print(cmd.OutOrStdout(), agents)
		},
	}
	cmd.Flags().StringVar(&e.master, "master", "localhost:5050", "the Mesos master, HOST:PORT[,HOST:PORT...]")
	cmd.Flags().BoolVar(&agents, "agents", false, "a line per agent")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the master's answer as it is, with all agents")
	e.client.register(cmd.Flags(), true)
	return cmd
}

// print writes the summary, or a table of all reasons.
func (x *explanation) print(out io.Writer, agents bool) error {
	if !agents {
		for _, sentence := range x.Summary {
			if _, err := fmt.Fprintln(out, sentence); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ROLE\tAGENT\tWHY\tREASON")
	for _, r := range x.Reasons {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", cmp.Or(r.Role, "-"), cmp.Or(r.Agent, "-"), r.Why, r.Sentence)
	}
	return table.Flush()
}

// frameworks lists ids with names, for completion; nothing if no master answers.
func (e *explainer) frameworks(ctx context.Context) []string {
	body, err := e.ask(ctx, "/state-summary")
	if err != nil {
		return nil
	}
	var state struct {
		Frameworks []struct{ ID, Name string } `json:"frameworks"`
	}
	if json.Unmarshal(body, &state) != nil {
		return nil
	}
	var out []string
	for _, f := range state.Frameworks {
		out = append(out, f.ID+"\t"+f.Name)
	}
	return out
}

// ask reads an endpoint of the first master that answers; others redirect to the one that leads.
func (e *explainer) ask(ctx context.Context, path string) ([]byte, error) {
	credential, err := e.client.load(slog.Default())
	if err != nil {
		return nil, err
	}
	client, scheme := authn.Client(credential, e.client.transport.HTTP()), "http://"
	if e.client.transport.On() {
		scheme = "https://"
	}
	var failures []error
	for _, address := range strings.Split(e.master, ",") {
		body, err := read(ctx, client, scheme+strings.TrimSpace(address)+path)
		if err == nil {
			return body, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// read is the body of a 200 answer.
func read(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxExplanation))
	if err != nil {
		return nil, fmt.Errorf("explain: read the answer of %s: %w", request.URL.Host, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("explain: %s answered %s: %s", request.URL.Host, response.Status, strings.TrimSpace(string(body[:min(len(body), maxProbeBody)])))
	}
	return body, nil
}
