package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/bridge/core"
	"github.com/tombolo-project/tombolo/frameworks/session"
	"github.com/tombolo-project/tombolo/mesos/client"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

const (
	// failoverTimeout is how long the master keeps the pods of a bridge that is away (reference row VK-18).
	failoverTimeout = 7 * 24 * time.Hour
	// agentsEvery is how often the master's list of agents is read; news (a failure, unknown agents' offers) hasten it.
	agentsEvery = 5 * time.Second
	agentsLimit = 20 * time.Second
)

// frameworkInfo is how the bridge presents itself to the master.
func frameworkInfo(config Config, id *mesos.FrameworkID) mesos.FrameworkInfo {
	timeout, checkpoint := failoverTimeout.Seconds(), true
	info := mesos.FrameworkInfo{
		User: config.User, Name: config.Name, ID: id, FailoverTimeout: &timeout, Checkpoint: &checkpoint,
		Roles: []string{config.Role}, Hostname: &config.Address,
	}
	if config.Principal != "" {
		info.Principal = &config.Principal
	}
	for _, kind := range []mesos.FrameworkInfo_Capability_Type{
		mesos.FrameworkInfo_Capability_PARTITION_AWARE, mesos.FrameworkInfo_Capability_TASK_KILLING_STATE,
		mesos.FrameworkInfo_Capability_MULTI_ROLE, mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT,
	} {
		info.Capabilities = append(info.Capabilities, mesos.FrameworkInfo_Capability{Type: kind})
	}
	return info
}

// handler turns the master's events into the owner's; it is the session's Handler.
type handler struct {
	bridge *Bridge
	log    *slog.Logger
}

var _ session.Handler = (*handler)(nil)

// Subscribed implements session.Handler.
func (h *handler) Subscribed(id mesos.FrameworkID) {
	h.bridge.post(core.Subscribed{Framework: id})
	h.bridge.hastenAgents()
}

// Disconnected implements session.Handler.
func (h *handler) Disconnected(err error) {
	h.log.Warn("the link to the master broke", "error", err)
	h.bridge.post(core.Disconnected{})
}

// Offers implements session.Handler.
func (h *handler) Offers(offers []mesos.Offer) { h.bridge.post(core.Offered{Offers: offers}) }

// Rescind implements session.Handler.
func (h *handler) Rescind(id mesos.OfferID) { h.bridge.post(core.Rescinded{ID: id}) }

// Update implements session.Handler. The owner acknowledges once the pod's status is in the API.
func (h *handler) Update(status mesos.TaskStatus) error {
	reason := ""
	if status.Reason != nil {
		reason = status.Reason.String()
	}
	h.log.Debug("task status", "task_id", status.TaskID.Value, "state", status.GetState().String(), "reason", reason)
	event := core.TaskUpdated{Status: status}
	if len(status.Data) > 0 && status.GetSource() == mesos.SOURCE_EXECUTOR {
		data, err := podapi.Decode[podapi.StatusData](status.Data)
		if err != nil {
			// A status that can't be read will not be readable the next time: the state alone must do.
			h.log.Error("status data of a task is not the pod executor's", "task_id", status.TaskID.Value, "error", err)
		} else {
			event.Report = &data.Status
			event.Endpoint = encodeEndpoint(data.Endpoint)
		}
	}
	h.bridge.post(event)
	return session.ErrLater
}

// Message implements session.Handler.
func (h *handler) Message(agent mesos.AgentID, executor mesos.ExecutorID, data []byte) {
	message, err := podapi.Decode[podapi.Message](data)
	if err != nil {
		h.log.Warn("message of an executor can't be read", "agent_id", agent.Value, "executor_id", executor.Value, "error", err)
		return
	}
	said := core.ExecutorSaid{AgentID: agent.Value, Endpoint: encodeEndpoint(message.Endpoint), System: message.System}
	for _, e := range message.Events {
		said.Events = append(said.Events, core.PodEvent(e))
	}
	h.bridge.post(said)
}

// Failure implements session.Handler.
func (h *handler) Failure(agent *mesos.AgentID, executor *mesos.ExecutorID, _ *int32) {
	if agent != nil {
		event := core.ExecutorEnded{AgentID: agent.Value}
		if executor != nil {
			event.ExecutorID = executor.Value
		}
		h.bridge.post(event)
	}
	h.bridge.hastenAgents()
}

// Tasks implements session.Handler.
func (h *handler) Tasks() []scheduler.Call_Reconcile_Task {
	var tasks []scheduler.Call_Reconcile_Task
	h.bridge.query(func(s *core.State) { tasks = s.Tasks() })
	return tasks
}

// Error implements session.Handler.
func (h *handler) Error(message string) {
	h.log.Error("the master refuses the framework", "error", message)
}

func encodeEndpoint(e podapi.Endpoint) string {
	if e.Address == "" {
		return ""
	}
	return string(podapi.Encode(e))
}

// removed tells whether the master has forgotten the framework for good, so that a new one must be registered.
func removed(err error) bool {
	return errors.Is(err, session.ErrTerminal) && strings.Contains(strings.ToLower(err.Error()), "removed")
}

// watchAgents reads the master's list of agents now and then until ctx ends.
func (b *Bridge) watchAgents(ctx context.Context) {
	hc := &http.Client{}
	if b.config.HTTP != nil {
		*hc = *b.config.HTTP
	}
	hc.Timeout = agentsLimit
	ticker := time.NewTicker(agentsEvery)
	defer ticker.Stop()
	for {
		answer, err := b.listAgents(ctx, hc)
		switch {
		case err == nil:
			b.post(core.AgentsListed{Answer: answer})
		case ctx.Err() == nil:
			b.log.Warn("agents not listed; nodes stay as they are", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-b.agentsDue:
		}
	}
}

func (b *Bridge) listAgents(ctx context.Context, hc *http.Client) (*master.Response_GetAgents, error) {
	leader := b.session.Leader()
	if leader == "" {
		return nil, errors.New("no master leads, so nobody can be asked for the agents")
	}
	scheme := "http://"
	if b.config.TLS {
		scheme = "https://"
	}
	url := scheme + leader + "/api/v1"
	answer := &master.Response{}
	err := client.Request(ctx, hc, url, codec.Protobuf, &master.Call{Type: master.Call_GET_AGENTS}, answer)
	if err == nil && answer.GetAgents == nil {
		err = errors.New("the answer to GET_AGENTS is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for its agents: %w", url, err)
	}
	return answer.GetAgents, nil
}

// hastenAgents asks for a new list of agents soon.
func (b *Bridge) hastenAgents() {
	select {
	case b.agentsDue <- struct{}{}:
	default: // one is due already
	}
}
