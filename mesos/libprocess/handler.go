package libprocess

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/tombolo-project/tombolo/mesos/epoch"
)

// MaxBody is the largest message, in bytes, that is taken in. An agent that
// re-registers with tens of thousands of tasks stays well below it.
const MaxBody = 256 << 20

// fromHeader carries the sender's UPID.
const fromHeader = "Libprocess-From"

// agentPrefix starts the User-Agent of a libprocess peer, followed by its UPID.
const agentPrefix = "libprocess/"

// Message is one that came in.
type Message struct {
	From UPID
	To   string // the id of the actor it is for
	Name string // full protocol buffer name, "mesos.internal.PingSlaveMessage"
	Body []byte // belongs to the receiver
	// Epoch is the reign in which a master of ours sent it; zero for any other sender.
	Epoch epoch.Epoch
}

// Handler takes the messages out of a server's requests and hands all others to
// next, so that one port serves both (reference rows LP-04, LP-14). deliver is
// called from the request's goroutine, in the order of the sender's connection;
// it must not block for long and returns false where it has no such actor.
func Handler(deliver func(Message) bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sender, ok := sender(r)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		m, status, problem := read(w, r, sender)
		if problem != "" {
			http.Error(w, problem, status)
			return
		}
		if !deliver(m) {
			http.Error(w, "no actor here is called "+m.To, http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
}

// sender returns the text of the UPID that sent r, and whether r is a message at all.
func sender(r *http.Request) (string, bool) {
	if r.Method != http.MethodPost {
		return "", false
	}
	if from := r.Header.Get(fromHeader); from != "" {
		return from, true
	}
	return strings.CutPrefix(r.Header.Get("User-Agent"), agentPrefix)
}

// RequirePeerIP refuses messages whose sender says that it is at another address than its connection comes from
// (reference row LP-06). It breaks those who come through address translation or a proxy.
func RequirePeerIP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, ok := sender(r); ok {
			from, err := ParseUPID(text)
			host, _, splitErr := net.SplitHostPort(r.RemoteAddr)
			if err == nil && (splitErr != nil || from.Host != host) {
				http.Error(w, "the message's sender is not where its connection comes from", http.StatusBadRequest)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func read(w http.ResponseWriter, r *http.Request, sender string) (m Message, status int, problem string) {
	from, err := ParseUPID(sender)
	if err != nil {
		return m, http.StatusInternalServerError, "sender: " + err.Error()
	}
	to, name, ok := splitPath(r.URL)
	if !ok {
		return m, http.StatusInternalServerError, "expecting a path /<actor id>/<message name>, not " + r.URL.Path
	}
	reign, err := epoch.Parse(r.Header.Get(epoch.Header))
	if err != nil {
		return m, http.StatusBadRequest, err.Error()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return m, http.StatusRequestEntityTooLarge, "the message is larger than 256 MiB"
	case err != nil:
		return m, http.StatusBadRequest, "read body: " + err.Error()
	}
	return Message{From: from, To: to, Name: name, Body: body, Epoch: reign}, 0, ""
}

// splitPath reads /<actor id>/<message name>; the id may be percent-encoded
// (reference row LP-02), which URL.Path has undone already.
func splitPath(u *url.URL) (to, name string, ok bool) {
	path, ok := strings.CutPrefix(u.Path, "/")
	if !ok {
		return "", "", false
	}
	to, name, ok = strings.Cut(path, "/")
	return to, name, ok && to != "" && name != "" && !strings.Contains(name, "/")
}
