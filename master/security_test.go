package master_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gogo/protobuf/proto"

	"github.com/tombolo-project/tombolo/master"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/security/crammd5"
	"github.com/tombolo-project/tombolo/security/credentials"
)

// secured is a master that asks everybody who they are.
func secured(t *testing.T, c *master.Config) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("agent hunter2\nops letmein\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &c.Security
	s.Credentials, s.AuthenticateAgents, s.AuthenticateHTTPReadOnly, s.AuthenticateHTTPReadWrite = file, true, true, true
}

// says sends a message of a handshake.
func (a *fakeAgent) says(to libprocess.UPID, m proto.Message) {
	a.t.Helper()
	actor := a.self
	actor.ID = "crammd5-authenticatee(1)"
	if err := a.sender.SendFrom(actor, to, m); err != nil {
		a.t.Fatal(err)
	}
}

// answered waits for the agent's process to get a message of a type, and forgets it.
func answered[M proto.Message](a *fakeAgent) M {
	a.t.Helper()
	m := await[M](a)
	a.mu.Lock()
	defer a.mu.Unlock()
	var rest []proto.Message
	for _, x := range a.got {
		if proto.Message(x) != proto.Message(m) {
			rest = append(rest, x)
		}
	}
	a.got = rest
	return m
}

func masterAt(t *testing.T, address string) libprocess.UPID {
	t.Helper()
	pid, err := libprocess.ParseUPID("master@" + address)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestD6_AnAgentProvesWhoItIs(t *testing.T) {
	address := start(t, func(c *master.Config) { secured(t, c) })
	version := "1.12.0"
	for _, c := range []struct {
		secret string
		ok     bool
	}{{"wrong", false}, {"hunter2", true}} {
		a := newAgent(t)
		at := masterAt(t, address)
		a.send(address, &messages.RegisterSlaveMessage{Agent: a.info, Version: &version}) // too early: ignored
		a.says(at, &messages.AuthenticateMessage{PID: a.self.String()})
		mechanisms := answered[*messages.AuthenticationMechanismsMessage](a)
		if len(mechanisms.Mechanisms) != 1 || mechanisms.Mechanisms[0] != crammd5.Mechanism {
			t.Fatalf("the master knows %v", mechanisms.Mechanisms)
		}
		a.mu.Lock()
		session := a.from
		a.mu.Unlock()
		a.says(session, &messages.AuthenticationStartMessage{Mechanism: crammd5.Mechanism})
		challenge := answered[*messages.AuthenticationStepMessage](a)
		mine := credentials.Credential{Principal: "agent", Secret: credentials.NewSecret(c.secret)}
		a.says(session, &messages.AuthenticationStepMessage{Data: crammd5.Answer(mine, challenge.Data)})
		if !c.ok {
			answered[*messages.AuthenticationFailedMessage](a)
			continue
		}
		answered[*messages.AuthenticationCompletedMessage](a)
		a.send(address, &messages.RegisterSlaveMessage{Agent: a.info, Version: &version})
		answered[*messages.SlaveRegisteredMessage](a)
	}
	r, err := http.NewRequest(http.MethodGet, "http://"+address+"/slaves", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("ops", "letmein")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); strings.Count(string(text), `"hostname":"localhost"`) != 1 {
		t.Errorf("registered: %s", text)
	}
}

func TestNobodyProvesForAnother(t *testing.T) {
	address := start(t, func(c *master.Config) { secured(t, c) })
	a := newAgent(t)
	a.says(masterAt(t, address), &messages.AuthenticateMessage{PID: "slave(1)@10.9.9.9:5051"})
	if e := answered[*messages.AuthenticationErrorMessage](a); !strings.Contains(*e.Error, "own address") {
		t.Error(*e.Error)
	}
}

func TestWithoutCredentialsNobodyCanProveAnything(t *testing.T) {
	address := start(t, nil)
	a := newAgent(t)
	a.says(masterAt(t, address), &messages.AuthenticateMessage{PID: a.self.String()})
	if e := answered[*messages.AuthenticationErrorMessage](a); *e.Error != "No authenticator loaded" {
		t.Error(*e.Error)
	}
}

func TestWhatAMasterIsNotStartedWith(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte(`{"run_task": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*master.Security){
		"--credentials":                   func(s *master.Security) { s.AuthenticateAgents = true },
		"mesos-master-readonly":           func(s *master.Security) { s.AuthenticateHTTPReadOnly = true },
		"--http_framework_authenticators": func(s *master.Security) { s.AuthenticateHTTPFrameworks = true },
		"--acls":                          func(s *master.Security) { s.ACLs = bad },
		"no list":                         func(s *master.Security) { s.ACLs = `{"run_task": []}` },
		"--jwt_secret_key":                func(s *master.Security) { s.JWTSecretKey = filepath.Join(dir, "none") },
		"--authenticators":                func(s *master.Security) { s.Authenticators = "kerberos" },
		"--authorizers":                   func(s *master.Security) { s.Authorizers = "ldap" },
	} {
		cfg := master.Default()
		cfg.Port, cfg.Registry = 0, master.InMemory
		change(&cfg.Security)
		err := master.Run(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestLP06_MessagesComeFromWhereTheySay(t *testing.T) {
	address := start(t, func(c *master.Config) { c.Security.RequirePeerIP = true })
	for from, want := range map[string]int{"slave(1)@127.0.0.1:1": 202, "slave(1)@10.1.1.1:1": 400} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /master/mesos.internal.PongSlaveMessage HTTP/1.1\r\nHost: x\r\nLibprocess-From: %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", from)
		text, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || !strings.HasPrefix(string(text), fmt.Sprintf("HTTP/1.1 %d ", want)) {
			t.Errorf("%s: %s, %v", from, text, err)
		}
	}
}
