package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/tombolo-project/tombolo/mesos/duration"
)

// Verbosity is how much the master logs: 0 is what its flags say, 1 and more let debug
// messages through (reference row OP1-05). A level is set for a while and then falls
// back to 0. It is safe for concurrent use.
type Verbosity struct {
	least *slog.LevelVar // of the log
	usual slog.Level

	mu    sync.Mutex // protects the fields below
	level uint32
	back  *time.Timer
}

// NewVerbosity governs the level of a log; its present value is that of verbosity 0.
func NewVerbosity(least *slog.LevelVar) *Verbosity {
	return &Verbosity{least: least, usual: least.Level()}
}

// Level is the present verbosity.
func (v *Verbosity) Level() uint32 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.level
}

// Set changes the verbosity for a while; the last one to set it decides until when.
// As in Mesos, levels are not checked: what is negative counts as 0, all above 0 as 1.
func (v *Verbosity) Set(level uint32, d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.back != nil {
		v.back.Stop()
		v.back = nil
	}
	v.apply(level)
	if level == 0 {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(max(d, 0), func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.back == timer {
			v.apply(0)
		}
	})
	v.back = timer
}

func (v *Verbosity) apply(level uint32) {
	v.level = level
	if int32(level) > 0 {
		v.least.Set(min(v.usual, slog.LevelDebug))
		return
	}
	v.least.Set(v.usual)
}

// toggle serves /logging/toggle: without parameters the level, with level and duration it is set.
func (s *Server) toggle(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch hasLevel, hasDuration := q.Has("level"), q.Has("duration"); {
	case !hasLevel && !hasDuration:
		s.body(w, r, "text/plain; charset=utf-8", fmt.Appendf(nil, "%d\n", int32(s.facts.Verbosity.Level())))
		return
	case !hasDuration:
		refuse(w, http.StatusBadRequest, "Expecting 'duration=value' in query.")
		return
	case !hasLevel:
		refuse(w, http.StatusBadRequest, "Expecting 'level=value' in query.")
		return
	}
	level, err := strconv.ParseInt(q.Get("level"), 10, 32)
	if err != nil {
		refuse(w, http.StatusBadRequest, "Failed to convert '%s' to number.", q.Get("level"))
		return
	}
	if level < 0 {
		refuse(w, http.StatusBadRequest, "Invalid level '%d'.", level)
		return
	}
	d, err := duration.Parse(q.Get("duration"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "%s.", err)
		return
	}
	s.facts.Verbosity.Set(uint32(level), d)
	w.WriteHeader(http.StatusOK)
}
