package api

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/recordio"
	"github.com/tombolo-project/tombolo/security/authn"
)

// maxCall bounds an executor's call; a status may carry data.
const maxCall = 16 << 20

// executorHeartbeat is Mesos's interval (row EXE-03).
const executorHeartbeat = 30 * time.Minute

// executor serves /slave(1)/api/v1/executor; reference rows EXE-01 to EXE-07.
func (s *Server) executor(w http.ResponseWriter, r *http.Request) {
	call := &executor.Call{}
	body, ok := decode(w, r, call, maxCall)
	if !ok {
		return
	}
	accept, err := codec.ForAccept(r.Header.Get("Accept"))
	heartbeat := isHeartbeat(call, body)
	if text := invalidCall(call); text != "" && !heartbeat {
		refuse(w, http.StatusBadRequest, "Failed to validate Executor::Call: "+text)
		return
	}
	framework, id := call.FrameworkID.Value, call.ExecutorID.Value
	if !s.isExecutor(authn.PrincipalOf(r.Context()), framework, id) {
		authn.Forbid(w)
		return
	}
	if call.Type == executor.Call_SUBSCRIBE && err != nil {
		refuse(w, http.StatusNotAcceptable, "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'")
		return
	}
	if status, text := s.knows(framework, id); status != 0 {
		refuse(w, status, text)
		return
	}
	if heartbeat {
		w.WriteHeader(http.StatusAccepted) // it has served its purpose by keeping the way open
		return
	}
	switch call.Type {
	case executor.Call_SUBSCRIBE:
		s.subscribe(w, r, accept, framework, id, call.Subscribe)
	case executor.Call_UPDATE:
		ans, err := s.Agent.Update(r.Context(), framework, id, call.Update.Status)
		respond(w, ans, err)
	case executor.Call_MESSAGE:
		ans, err := s.Agent.Message(r.Context(), framework, id, call.Message.Data)
		respond(w, ans, err)
	default:
		refuse(w, http.StatusNotImplemented, "501 Not Implemented.")
	}
}

// isHeartbeat finds the call that the vocabulary doesn't have: HEARTBEAT 4.
func isHeartbeat(c *executor.Call, body []byte) bool {
	if c.Type != executor.Call_UNKNOWN {
		return c.Type == 4
	}
	var named struct{ Type string }
	return json.Unmarshal(body, &named) == nil && named.Type == "HEARTBEAT"
}

// invalidCall names what a call lacks.
func invalidCall(c *executor.Call) string {
	switch {
	case c.Type == executor.Call_UNKNOWN:
		return "Expecting 'type' to be present"
	case c.ExecutorID.Value == "":
		return "Expecting 'executor_id' to be present"
	case c.FrameworkID.Value == "":
		return "Expecting 'framework_id' to be present"
	case c.Type == executor.Call_SUBSCRIBE && c.Subscribe == nil:
		return "Expecting 'subscribe' to be present"
	case c.Type == executor.Call_UPDATE && c.Update == nil:
		return "Expecting 'update' to be present"
	case c.Type == executor.Call_MESSAGE && c.Message == nil:
		return "Expecting 'message' to be present"
	case c.Type == executor.Call_UPDATE && c.Update.Status.ExecutorID != nil && c.Update.Status.ExecutorID.Value != c.ExecutorID.Value:
		return "ExecutorID in Call: " + c.ExecutorID.Value + " does not match ExecutorID in TaskStatus: " + c.Update.Status.ExecutorID.Value
	}
	return ""
}

// knows finds the caller in the view; a status other than 0 says why it isn't there.
func (s *Server) knows(framework, id string) (status int, text string) {
	v := s.Agent.View()
	for _, f := range v.Frameworks {
		if f.Info.ID.GetValue() != framework {
			continue
		}
		for _, e := range f.Executors {
			if e.Info.ExecutorID.Value == id && e.State != "TERMINATED" {
				return 0, ""
			}
		}
		return http.StatusBadRequest, "Executor cannot be found"
	}
	if v.Recovering {
		return http.StatusServiceUnavailable, "Agent has not finished recovery"
	}
	return http.StatusBadRequest, "Framework cannot be found"
}

func (s *Server) subscribe(w http.ResponseWriter, r *http.Request, c codec.Codec, framework, id string, sub *executor.Call_Subscribe) {
	events, leave := s.Agent.Subscribe(framework, id, sub)
	defer leave()
	w.Header().Set("Content-Type", c.MediaType())
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	out := recordio.NewWriter(w)
	send := func(e *executor.Event) bool {
		data, err := c.Marshal(e)
		if err == nil {
			err = out.Write(data)
		}
		if err == nil {
			err = flush.Flush()
		}
		return err == nil
	}
	// An executor may hear nothing for long; the server's limit for an answer is not meant for it.
	if flush.SetWriteDeadline(time.Time{}) != nil || flush.Flush() != nil {
		return
	}
	beat := time.NewTicker(executorHeartbeat)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			if !send(&executor.Event{Type: executor.Event_HEARTBEAT}) {
				return
			}
		case e, open := <-events:
			if !open || !send(e) {
				return
			}
		}
	}
}

// respond answers with what the owner decided.
func respond(w http.ResponseWriter, ans core.Answer, err error) {
	switch {
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, err.Error())
	case ans.Text != "":
		refuse(w, ans.Status, ans.Text)
	default:
		w.WriteHeader(ans.Status)
	}
}

// refuse answers with a plain text, as Mesos does.
func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
