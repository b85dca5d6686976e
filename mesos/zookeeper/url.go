// Package zookeeper speaks to masters and of masters through ZooKeeper, as Mesos
// does: each master that stands for election has an ephemeral node json.info_<sequence>
// with its MasterInfo in JSON below one path, and the one with the smallest sequence
// leads (reference 6.1). Start reading at Watch, for who looks for the leader, and at
// Publish, for who leads.
package zookeeper

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

// Scheme begins the address of a group of masters.
const Scheme = "zk://"

// DefaultTimeout is after which ZooKeeper counts a silent session as ended (Mesos's --zk_session_timeout).
const DefaultTimeout = 10 * time.Second

// URL is a zk://[user:password@]host:port[,host:port...]/path (reference row ZK-01).
type URL struct {
	User, Password string
	Servers        []string
	Path           string // without a slash at its end
}

// ParseURL reads a zk:// address, or a file:///path that holds one, which keeps a
// password out of the process's arguments.
func ParseURL(text string) (URL, error) {
	var u URL
	if path, ok := strings.CutPrefix(text, "file://"); ok {
		data, err := os.ReadFile(path)
		if err != nil {
			return u, fmt.Errorf("the file with the ZooKeeper address: %w", err)
		}
		text = string(data)
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), Scheme)
	if !ok {
		return u, fmt.Errorf("the ZooKeeper address must begin with %s", Scheme)
	}
	servers, path, ok := strings.Cut(rest, "/")
	u.Path = "/" + strings.Trim(path, "/")
	if !ok || u.Path == "/" {
		return u, fmt.Errorf("the ZooKeeper address needs a path behind the servers, such as %shost:2181/mesos", Scheme)
	}
	if at := strings.LastIndex(servers, "@"); at >= 0 {
		user, password, ok := strings.Cut(servers[:at], ":")
		if !ok || user == "" {
			return u, fmt.Errorf("what stands before the @ of the ZooKeeper address must be user:password")
		}
		u.User, u.Password, servers = user, password, servers[at+1:]
	}
	for _, s := range strings.Split(servers, ",") {
		if host, _, err := net.SplitHostPort(s); err != nil || host == "" {
			return u, fmt.Errorf("the ZooKeeper server %q is not of the form host:port", s)
		}
		u.Servers = append(u.Servers, s)
	}
	return u, nil
}

// String leaves the password out.
func (u URL) String() string {
	user := ""
	if u.User != "" {
		user = u.User + "@"
	}
	return Scheme + user + strings.Join(u.Servers, ",") + u.Path
}

// acl lets everybody read and, when there is a user, only that user write.
func (u URL) acl() []zk.ACL {
	if u.User == "" {
		return zk.WorldACL(zk.PermAll)
	}
	return append(zk.WorldACL(zk.PermRead), zk.AuthACL(zk.PermAll)...)
}

// session is one connection, and what became of it.
type session struct {
	*zk.Conn
	// ended is closed when ZooKeeper has, or must be thought to have, forgotten the
	// session: it expired, or no server was reached for as long as that takes.
	ended context.Context
}

// open connects. It returns at once: requests wait until a server answers, and end
// with ctx.
func open(ctx context.Context, u URL, timeout time.Duration, log *slog.Logger) (*session, error) {
	conn, events, err := zk.Connect(u.Servers, timeout, zk.WithLogger(quiet{log}), zk.WithLogInfo(false))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", u, err)
	}
	ended, end := context.WithCancel(ctx)
	context.AfterFunc(ended, conn.Close)
	go watchState(ended, end, events, timeout)
	if u.User != "" {
		if err := conn.AddAuth("digest", []byte(u.User+":"+u.Password)); err != nil {
			end()
			conn.Close()
			return nil, fmt.Errorf("authenticate to %s: %w", u, err)
		}
	}
	return &session{Conn: conn, ended: ended}, nil
}

// watchState ends the session when it has expired, or when it was without a server for too long.
func watchState(ctx context.Context, end context.CancelFunc, events <-chan zk.Event, timeout time.Duration) {
	defer end()
	patience := time.NewTimer(timeout)
	defer patience.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-patience.C:
			return
		case e, ok := <-events:
			switch {
			case !ok || e.State == zk.StateExpired || e.State == zk.StateAuthFailed:
				return
			case e.State == zk.StateHasSession:
				patience.Stop()
			case e.State == zk.StateDisconnected:
				patience.Reset(timeout)
			}
		}
	}
}

// quiet sends what the client library logs to where it belongs.
type quiet struct{ log *slog.Logger }

// Printf implements zk.Logger.
func (q quiet) Printf(format string, args ...any) {
	q.log.Debug("zookeeper: " + fmt.Sprintf(format, args...))
}
