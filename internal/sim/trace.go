package sim

import (
	"fmt"
	"strings"
	"time"
)

// trace hashes everything that happens; for a run that is looked at, it keeps lines, too.
type trace struct {
	hash  uint64
	keep  bool
	lines []string
}

// maxLines bounds what is kept; the oldest half goes.
const maxLines = 200_000

// The constants of the 64-bit FNV-1a hash.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func newTrace(keep bool) trace { return trace{hash: fnvOffset, keep: keep} }

func (t *trace) mix(b []byte) {
	h := t.hash
	for _, c := range b {
		h = (h ^ uint64(c)) * fnvPrime
	}
	t.hash = h
}

func (t *trace) mixText(text string) {
	h := t.hash
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * fnvPrime
	}
	t.hash = (h ^ 0xff) * fnvPrime
}

// note enters something that happened: who, and words about it.
func (w *world) note(who string, words ...string) {
	w.trace.mixText(who)
	for _, s := range words {
		w.trace.mixText(s)
	}
	if w.trace.keep {
		w.line(who, strings.Join(words, " "))
	}
}

// message enters the wire form of what who did with it.
func (w *world) message(who, verb string, body []byte, m any) {
	w.trace.mixText(who)
	w.trace.mixText(verb)
	w.trace.mix(body)
	if w.trace.keep {
		w.line(who, verb+" "+show(m))
	}
}

// maxShown is how much of a message a line shows.
const maxShown = 600

func (w *world) line(who, text string) {
	if len(w.trace.lines) >= maxLines {
		w.trace.lines = append([]string(nil), w.trace.lines[maxLines/2:]...)
	}
	w.trace.lines = append(w.trace.lines, fmt.Sprintf("%12s %-4s %s", w.now.Truncate(time.Microsecond), who, text))
}
