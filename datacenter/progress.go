package datacenter

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress writes a line for every step that is done, with what it took.
type progress struct {
	mutex sync.Mutex // guards out
	out   io.Writer
}

// step runs f and reports it; detail may be filled in by f.
func (p *progress) step(name string, f func(detail *string) error) error {
	begin := time.Now()
	var detail string
	if err := f(&detail); err != nil {
		p.say("  %-12s failed after %.1f s", name, time.Since(begin).Seconds())
		return err
	}
	p.say("  %-12s %5.1f s  %s", name, time.Since(begin).Seconds(), detail)
	return nil
}

func (p *progress) say(format string, args ...any) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// plural is what a noun ends with after a number.
func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
