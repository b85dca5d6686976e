package agentlink

import (
	"log/slog"
	"testing"
)

func TestEnvironmentIsDemanded(t *testing.T) {
	t.Setenv("MESOS_AGENT_ENDPOINT", "")
	if _, err := FromEnvironment(slog.New(slog.DiscardHandler)); err == nil {
		t.Error("started without an agent")
	}
}
