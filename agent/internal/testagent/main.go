// Command testagent is the agent as the end-to-end tests of package agent start and
// kill it: MASTER WORK_DIR RUNTIME_DIR CGROUPS_ROOT EXECUTOR PORT reconnect|cleanup.
// It prints the port it listens on.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/agent"
	"github.com/tombolo-project/tombolo/agent/api"
	"github.com/tombolo-project/tombolo/agent/containers"
	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/agent/sandbox"
	"github.com/tombolo-project/tombolo/mesos/detect"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "testagent:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 7 {
		return fmt.Errorf("want 7 arguments, got %d", len(args))
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	listener, err := agent.Listen(context.Background(), "127.0.0.1:"+args[5])
	if err != nil {
		return err
	}
	self := libprocess.UPID{ID: "slave(1)", Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port}
	masters, err := detect.New(args[0], log)
	if err != nil {
		return err
	}
	resources, err := agent.Resources("cpus:4;mem:4096;disk:10240", "*", "/")
	if err != nil {
		return err
	}
	port := int32(self.Port)
	cfg := agent.Config{
		Self: self, Masters: masters, Strict: true, Cleanup: args[6] == "cleanup", Log: log,
		Containers: containers.Config{Wrapper: args[4], RuntimeDir: args[2], CgroupsRoot: args[3], PidsMax: 1000},
		Core: core.Config{
			Info: mesos.AgentInfo{Hostname: "127.0.0.1", Port: &port, Resources: resources}, PID: self.String(), Address: self.Host,
			Version: "1.11.0", WorkDir: args[1], CommandExecutor: args[4], SwitchUser: true, BackoffFactor: 50 * time.Millisecond,
			RegisterTimeout: time.Minute, ReregisterTimeout: 15 * time.Second, ShutdownGrace: 5 * time.Second,
			RecoveryTimeout: 15 * time.Minute, MaxCompletedExecutors: 150,
		},
	}
	if _, err := rand.Read(cfg.Core.Seed[:]); err != nil {
		return err
	}
	a, err := agent.New(cfg)
	if err != nil {
		return err
	}
	server := api.Server{
		Agent: a, PID: self.String(), Version: "1.11.0", Started: time.Now(), Log: log, Flags: map[string]string{},
		Files: &sandbox.Files{WorkDir: args[1], Agent: func() string { return a.View().Info.ID.GetValue() }},
	}
	go func() {
		_ = (&http.Server{Handler: a.Handler(server.Handler())}).Serve(listener)
	}()
	fmt.Println(strconv.Itoa(self.Port))
	return a.Run(context.Background())
}
