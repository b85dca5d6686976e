package transport

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"syscall"
	"time"
)

// Limits of one request.
const (
	headerTimeout  = 10 * time.Second // for its header to arrive
	maxHeaderBytes = 64 << 10
	bodyPatience   = 30 * time.Second // for its body to begin, and for it to end besides what bodyPace allows
	bodyPace       = 32 << 10         // bytes per second that a body must make on average
	answerTimeout  = 10 * time.Minute // for the client to take the answer; streams have limits of their own
)

// Server returns an HTTP server for a Listener of this package. A request whose header does not arrive in time, or whose
// body crawls, loses its connection. Idle connections stay: libprocess keeps them for messages to come.
func Server(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           paced(handler),
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// paced gives bodies and answers a time to be through by.
func paced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if control.SetWriteDeadline(time.Now().Add(answerTimeout)) != nil {
			return // the connection is gone
		}
		if r.Body != nil && r.Body != http.NoBody {
			begun := time.Now()
			if control.SetReadDeadline(begun.Add(bodyPatience)) != nil {
				return
			}
			r.Body = &pacedBody{ReadCloser: r.Body, begun: begun, deadline: control.SetReadDeadline}
		}
		next.ServeHTTP(w, r)
	})
}

// pacedBody moves the time limit on as data comes.
type pacedBody struct {
	io.ReadCloser
	begun    time.Time
	read     int64
	deadline func(time.Time) error
}

// Read implements io.Reader.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	limit := b.begun.Add(bodyPatience + time.Duration(b.read)*time.Second/bodyPace)
	if errors.Is(err, io.EOF) {
		limit = time.Time{} // what follows on the connection is no body; after any other error nothing follows
	}
	if failed := b.deadline(limit); failed != nil && err == nil {
		err = failed
	}
	return n, err
}

// isExhausted says that the process has no room for another connection, for now.
func isExhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.ENOBUFS)
}
