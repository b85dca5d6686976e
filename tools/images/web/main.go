// Command web is a small web server for trying out Deployments and probes without a
// network to pull images from. It answers on $PORT (8080):
//
//	/          the host's name, its addresses and the request
//	/healthz   200, or 500 after POST /fail
//	/fail      POST: /healthz fails from now on
//	/exit      POST: ends with status ?code= (0)
//	/env       its environment variables named TOMBOLO_* or WEB_*
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// usage is for `web --help`; the server takes no arguments.
const usage = `web answers on $PORT (8080): GET / /healthz /env, POST /fail /exit?code=N`

func main() {
	if len(os.Args) > 1 {
		fmt.Println(usage)
		return
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: ":" + port, Handler: routes(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		finish, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(finish)
	}()
	log.Printf("web: listening on :%s", port)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatalf("web: %v", err)
	}
}

func routes() http.Handler {
	var failing atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		log.Printf("%s %s from %s", r.Method, r.URL.Path, r.RemoteAddr)
		host, _ := os.Hostname()
		fmt.Fprintf(w, "host %s\naddresses %s\nclient %s\n", host, strings.Join(addresses(), " "), r.RemoteAddr)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if failing.Load() {
			http.Error(w, "failing, as asked", http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("POST /fail", func(http.ResponseWriter, *http.Request) { failing.Store(true) })
	mux.HandleFunc("POST /exit", func(_ http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.URL.Query().Get("code"))
		if err != nil {
			code = 0
		}
		os.Exit(code)
	})
	mux.HandleFunc("GET /env", func(w http.ResponseWriter, _ *http.Request) {
		for _, v := range os.Environ() {
			if strings.HasPrefix(v, "TOMBOLO_") || strings.HasPrefix(v, "WEB_") {
				fmt.Fprintln(w, v)
			}
		}
	})
	return mux
}

func addresses() []string {
	var out []string
	all, err := net.InterfaceAddrs()
	if err != nil {
		return []string{err.Error()}
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() {
			out = append(out, n.IP.String())
		}
	}
	return out
}
