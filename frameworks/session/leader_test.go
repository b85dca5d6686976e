package session

import (
	"context"
	"testing"
)

func TestLeader(t *testing.T) {
	l := newLeader("")
	done := make(chan string, 1)
	go func() {
		address, _ := l.wait(t.Context())
		done <- address
	}()
	l.set("a")
	if got := <-done; got != "a" {
		t.Fatalf("%q", got)
	}
	_, replaced := l.wait(t.Context())
	l.set("")
	l.set("a")
	if replaced.Err() != nil {
		t.Error("a subscription ended although the same master leads")
	}
	l.set("")
	l.set("b")
	if replaced.Err() == nil {
		t.Error("the subscription to a lives on although b leads")
	}
	l.set("")
	ended, end := context.WithCancel(t.Context())
	end()
	if address, _ := l.wait(ended); address != "" {
		t.Errorf("%q", address)
	}
}
