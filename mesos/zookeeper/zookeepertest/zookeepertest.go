// Package zookeepertest runs a real ZooKeeper, that of Debian's package zookeeper, for tests.
package zookeepertest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// jar is where Debian's package puts the server.
const jar = "/usr/share/java/zookeeper.jar"

// startTime is how long it may take to serve.
const startTime = time.Minute

// Server is a running ZooKeeper.
type Server struct {
	Address string // host:port for clients
	t       testing.TB
	dir     string
	command *exec.Cmd
}

// Start runs a server until the test ends. Without the package it fails the test.
func Start(t testing.TB) *Server {
	t.Helper()
	if _, err := os.Stat(jar); err != nil {
		t.Fatalf("this test needs Debian's package zookeeper (make deps installs it): %v", err)
	}
	s := &Server{t: t, dir: t.TempDir(), Address: free(t)}
	_, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("tickTime=200\nminSessionTimeout=400\ndataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n",
		filepath.Join(s.dir, "data"), port)
	if err := os.WriteFile(filepath.Join(s.dir, "zoo.cfg"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Run()
	t.Cleanup(s.Kill)
	return s
}

func free(t testing.TB) string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Run starts the server after Kill, with the data it had.
func (s *Server) Run() {
	s.t.Helper()
	output, err := os.OpenFile(filepath.Join(s.dir, "output"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer output.Close()
	s.command = exec.Command("java", "-Xmx128m", "-Dzookeeper.jmx.log4j.disable=true", "-cp", s.dir+":"+jar,
		"org.apache.zookeeper.server.ZooKeeperServerMain", filepath.Join(s.dir, "zoo.cfg"))
	s.command.Stdout, s.command.Stderr = output, output
	if err := s.command.Start(); err != nil {
		s.t.Fatalf("start ZooKeeper: %v", err)
	}
	for end := time.Now().Add(startTime); !s.serves(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			text, _ := os.ReadFile(filepath.Join(s.dir, "output")) // best effort: it only explains
			s.t.Fatalf("ZooKeeper does not serve within %s:\n%s", startTime, text)
		}
	}
}

// serves makes a session, which the server refuses until it is ready.
func (s *Server) serves() bool {
	conn, _, err := zk.Connect([]string{s.Address}, 2*time.Second, zk.WithLogger(silent{}))
	if err != nil {
		return false
	}
	defer conn.Close()
	_, _, err = conn.Exists("/")
	return err == nil
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// Kill ends the server at once.
func (s *Server) Kill() {
	if s.command == nil {
		return
	}
	s.command.Process.Kill() //nolint:errcheck // it may have ended
	s.command.Wait()         //nolint:errcheck // it was killed
	s.command = nil
}
