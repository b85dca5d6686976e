package libprocess

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// UPID names an actor of libprocess: an id within a process that listens on an
// IPv4 address and port. Its text is "id@ip:port" (reference row LP-07).
type UPID struct {
	ID   string // "master", "slave(1)", "slave-observer(7)" ...
	Host string // an IPv4 address, or a name to resolve
	Port int
}

// ParseUPID reads "id@host:port".
func ParseUPID(text string) (UPID, error) {
	id, address, ok := strings.Cut(text, "@")
	if !ok || id == "" {
		return UPID{}, fmt.Errorf("%q is not of the form id@host:port", text)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return UPID{}, fmt.Errorf("%q is not of the form id@host:port", text)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return UPID{}, fmt.Errorf("the port of %q is not between 0 and 65535", text)
	}
	return UPID{ID: id, Host: host, Port: int(number)}, nil
}

// Address is "host:port".
func (u UPID) Address() string { return net.JoinHostPort(u.Host, strconv.Itoa(u.Port)) }

func (u UPID) String() string { return u.ID + "@" + u.Address() }

// IsZero tells whether u names nobody.
func (u UPID) IsZero() bool { return u == UPID{} }
