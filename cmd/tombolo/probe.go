package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// maxProbeBody bounds how much of an answer is shown.
const maxProbeBody = 4 << 10

// probeCommand is `tombolo probe`: the one tool that a container of the image, which has no shell, needs to look at its
// neighbours. The chart's test hook uses it.
func probeCommand() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:     "probe URL",
		Short:   "Ask a URL until it answers 2xx; say what it answered",
		Example: "  tombolo probe --wait 10s http://127.0.0.1:5050/health",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			return probe(ctx, args[0], cmd.OutOrStdout())
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to keep asking")
	return cmd
}

// probe asks url twice a second until it answers 2xx or ctx ends; the error is the last answer.
func probe(ctx context.Context, url string, out io.Writer) error {
	if u, err := neturl.Parse(url); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("probe: %q is no URL: give http://HOST:PORT/PATH", url)
	}
	for {
		answer, err := ask(ctx, url)
		if err == nil {
			fmt.Fprintln(out, answer)
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// ask makes one request and renders its answer as "200 OK" and the start of the body; answers but 2xx are errors.
func ask(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("probe: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("probe: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxProbeBody))
	if err != nil {
		return "", fmt.Errorf("probe %s: read the answer: %w", url, err)
	}
	answer := strings.TrimSpace(fmt.Sprintf("%s %s", response.Status, body))
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return "", fmt.Errorf("probe %s: %s", url, answer)
	}
	return answer, nil
}
