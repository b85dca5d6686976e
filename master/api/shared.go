package api

import (
	"context"
	"sync"
	"time"

	"github.com/tombolo-project/tombolo/master/core"
)

// Limits of renderings.
const (
	renderTimeout = time.Minute            // to get the view
	maxPause      = 100 * time.Millisecond // between two renderings
	minPaused     = 2 * time.Millisecond   // renderings that take less need no pause
	keepRendered  = time.Minute            // what nobody asks for any more is forgotten
)

// renderer makes the large answers, one at a time, so that however many ask for them the
// datacenter goes on: who asks while one is made gets the next one together with all
// others who wait, as Mesos does with its batches (reference section 2.1). An answer is
// made of a view taken after it was asked for, and so is never older than what the asker
// was told before.
type renderer struct {
	view func(context.Context) (*core.View, error)

	heavy chan struct{} // held by the one who renders; protects the fields below
	forms *forms
	free  time.Time // not before does the next rendering begin

	mu      sync.Mutex // protects the fields below
	answers map[string]*rendering
	idle    *time.Timer
}

// rendering is one kind of large answer.
type rendering struct {
	build   func(*core.View, *forms) *document
	waiting *flight // what they get who ask now
	running bool

	last    *document // of the view of this version
	version uint64
}

// flight is a rendering that is waited for.
type flight struct {
	done chan struct{}
	doc  *document
	err  error
}

func newRenderer(view func(context.Context) (*core.View, error)) *renderer {
	return &renderer{view: view, heavy: make(chan struct{}, 1), forms: newForms(), answers: map[string]*rendering{}}
}

// get returns the document of that name; build makes it and is the same for each call
// with this name.
func (r *renderer) get(ctx context.Context, name string, build func(*core.View, *forms) *document) (doc *document, shared bool, err error) {
	r.mu.Lock()
	a := r.answers[name]
	if a == nil {
		a = &rendering{build: build}
		r.answers[name] = a
	}
	shared = a.waiting != nil
	if !shared {
		a.waiting = &flight{done: make(chan struct{})}
		if !a.running {
			a.running = true
			go r.run(a)
		}
	}
	f := a.waiting
	r.mu.Unlock()
	select {
	case <-f.done:
		return f.doc, shared, f.err
	case <-ctx.Done():
		return nil, shared, context.Cause(ctx)
	}
}

// run makes an answer for as long as someone waits for it.
func (r *renderer) run(a *rendering) {
	for {
		r.heavy <- struct{}{}
		time.Sleep(time.Until(r.free))
		r.mu.Lock()
		f := a.waiting
		a.waiting = nil
		if f == nil {
			a.running = false
			r.forgetLater()
		}
		r.mu.Unlock()
		if f == nil {
			<-r.heavy
			return
		}
		f.doc, f.err = r.make(a)
		<-r.heavy
		close(f.done)
	}
}

// make renders an answer anew if anything changed since the last time.
func (r *renderer) make(a *rendering) (*document, error) {
	ctx, cancel := context.WithTimeout(context.Background(), renderTimeout)
	defer cancel()
	v, err := r.view(ctx)
	if err != nil {
		return nil, err
	}
	if a.last != nil && a.version == v.Version {
		return a.last, nil
	}
	a.last, a.version = r.rendered(func() *document { return a.build(v, r.forms) }), v.Version
	return a.last, nil
}

// rendered runs one rendering and sees to it that the next one waits as long as this one took.
func (r *renderer) rendered(build func() *document) *document {
	begin := time.Now()
	r.forms.next()
	doc := build()
	if took := time.Since(begin); took > minPaused {
		r.free = time.Now().Add(min(took, maxPause))
	}
	return doc
}

// once renders what is asked for once, with what is kept of the last renderings.
func (r *renderer) once(ctx context.Context, build func(*forms) *document) (*document, error) {
	select {
	case r.heavy <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-r.heavy }()
	return r.rendered(func() *document { return build(r.forms) }), nil
}

// forgetLater gives back the memory of renderings some time after the last one.
func (r *renderer) forgetLater() {
	if r.idle == nil {
		r.idle = time.AfterFunc(keepRendered, r.forget)
		return
	}
	r.idle.Reset(keepRendered)
}

func (r *renderer) forget() {
	r.heavy <- struct{}{}
	defer func() { <-r.heavy }()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forms = newForms()
	for _, a := range r.answers {
		a.last = nil
	}
}
