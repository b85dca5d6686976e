package marathon

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Limits of /v2/events.
const (
	maxListeners   = 100
	listenerBuffer = 1024 // events that a listener may be behind; a slower one is cut off
	keepAlive      = 15 * time.Second
)

// hub passes events to the listeners of /v2/events (server-sent events). It never blocks the owner.
type hub struct {
	mu        sync.Mutex // guards listeners
	listeners map[chan Publish]bool
}

func newHub() *hub { return &hub{listeners: map[chan Publish]bool{}} }

// publish gives an event to every listener; one that is too far behind loses its connection.
func (h *hub) publish(p Publish) {
	data := map[string]any{"eventType": p.Type, "timestamp": Timestamp(time.Now())}
	for key, value := range p.Data {
		data[key] = value
	}
	p.Data = data
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		select {
		case l <- p:
		default:
			delete(h.listeners, l)
			close(l)
		}
	}
}

func (h *hub) attach() (chan Publish, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners) >= maxListeners {
		return nil, false
	}
	l := make(chan Publish, listenerBuffer)
	h.listeners[l] = true
	return l, true
}

func (h *hub) detach(l chan Publish) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners[l] {
		delete(h.listeners, l)
		close(l)
	}
}

// serve is GET /v2/events[?event_type=...]: a stream of events until the client goes.
func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	l, ok := h.attach()
	if !ok {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"message": fmt.Sprintf("there are %d listeners already", maxListeners)})
		return
	}
	defer h.detach(l)
	types := r.URL.Query()["event_type"]
	w.Header().Set("Content-Type", "text/event-stream;charset=UTF-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	if flush.Flush() != nil { // the client sees at once that it is attached
		return
	}
	h.publish(Publish{"event_stream_attached", map[string]any{"remoteAddress": r.RemoteAddr}})
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-alive.C:
			_, err = fmt.Fprint(w, "\r\n")
		case p, ok := <-l:
			if !ok {
				return
			}
			if len(types) > 0 && !slices.Contains(types, p.Type) {
				continue
			}
			data, marshalErr := json.Marshal(p.Data)
			if marshalErr != nil {
				return
			}
			_, err = fmt.Fprintf(w, "event: %s\r\ndata: %s\r\n\r\n", p.Type, data)
		}
		if err != nil || flush.Flush() != nil {
			return
		}
	}
}
