package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestProbeAsksUntilItIsWell(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 2 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok"))
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out strings.Builder
	if err := probe(ctx, server.URL, &out); err != nil || out.String() != "200 OK ok\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestProbeSaysWhatItWasTold(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no leader", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	if _, err := ask(t.Context(), server.URL); err == nil || !strings.Contains(err.Error(), "503 Service Unavailable no leader") {
		t.Errorf("error %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := probe(ended, "http://127.0.0.1:1", new(strings.Builder)); err == nil {
		t.Error("a probe that was cut short is a success")
	}
	if err := probe(t.Context(), "127.0.0.1:5050", new(strings.Builder)); err == nil || !strings.Contains(err.Error(), "is no URL") {
		t.Errorf("no URL: %v", err)
	}
}
