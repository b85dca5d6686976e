// Package detect finds the leading master for those who follow it: agents and
// frameworks. It knows four ways (reference row 0.5 and one of ours):
//
//	host:port                      that master, whatever it is
//	host1:port,host2:port,...      several masters, who are asked which of them leads
//	zk://[user:pass@]hosts/path    ZooKeeper, as Mesos's masters and ours write it
//	file:///path                   a file that holds one of these
//
// Start reading at New.
package detect

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/mesos/zookeeper"
)

// masterActor is the id of a master's actor in its UPID (reference row 0.4).
const masterActor = "master"

// maxMasters bounds a list of masters.
const maxMasters = 64

// Detector follows the leading master.
type Detector struct {
	log *slog.Logger
	// One of these three.
	fixed string
	list  []string
	zk    *zookeeper.URL

	hurry chan struct{} // has room for one

	scheme string
	http   *http.Client
}

// Use has a list of masters asked by hc over scheme ("http://" or "https://") instead
// of plainly. It is called before Run.
func (d *Detector) Use(scheme string, hc *http.Client) { d.scheme, d.http = scheme, hc }

// New reads the address of a master or of masters, as --master takes it.
func New(text string, log *slog.Logger) (*Detector, error) {
	text = strings.TrimSpace(text)
	d := &Detector{log: log, hurry: make(chan struct{}, 1), scheme: "http://", http: http.DefaultClient}
	if path, ok := strings.CutPrefix(text, "file://"); ok {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("the file with the masters' address: %w", err)
		}
		if strings.HasPrefix(strings.TrimSpace(string(data)), "file://") {
			return nil, fmt.Errorf("the file %s names another file instead of masters", path)
		}
		return New(string(data), log)
	}
	if strings.HasPrefix(text, zookeeper.Scheme) {
		u, err := zookeeper.ParseURL(text)
		if err != nil {
			return nil, err
		}
		d.zk = &u
		return d, nil
	}
	if scheme, _, ok := strings.Cut(text, "://"); ok {
		return nil, fmt.Errorf("masters cannot be found by %s://; give HOST:PORT, several of them separated by commas, zk://HOST:PORT/PATH or file:///PATH", scheme)
	}
	masters := strings.Split(text, ",")
	if len(masters) > maxMasters {
		return nil, fmt.Errorf("%d masters are listed; at most %d can be", len(masters), maxMasters)
	}
	for _, m := range masters {
		m = strings.TrimSpace(m)
		host, port, err := net.SplitHostPort(m)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || host == "" {
			return nil, fmt.Errorf("master %q is not of the form HOST:PORT", m)
		}
		d.list = append(d.list, m)
	}
	if len(d.list) == 1 {
		d.fixed = d.list[0]
	}
	return d, nil
}

// Peers are addresses (host:port) that lead towards the masters: their own or ZooKeeper's.
func (d *Detector) Peers() []string {
	if d.zk != nil {
		return d.zk.Servers
	}
	return d.list
}

// Fixed is the one master, host:port, whose leading nobody checks, or empty.
func (d *Detector) Fixed() string { return d.fixed }

// Run calls leads with the leading master, at first and whenever that changes; nil
// when there is none. It has a PID, and an ID where that is known. Run returns when ctx ends.
func (d *Detector) Run(ctx context.Context, leads func(*mesos.MasterInfo)) {
	switch {
	case d.zk != nil:
		zookeeper.Watch(ctx, *d.zk, zookeeper.DefaultTimeout, d.log, leads)
	case d.fixed != "":
		d.resolveFixed(ctx, leads)
	default:
		d.poll(ctx, leads)
	}
}

// Hurry says that the leader seems to be gone, so that a list is asked anew at once.
func (d *Detector) Hurry() {
	select {
	case d.hurry <- struct{}{}:
	default:
	}
}

// at is what is known of a master by its address.
func at(ctx context.Context, hostport string) (*mesos.MasterInfo, error) {
	host, portText, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupIP(ctx, "ip4", host)
	if err != nil {
		return nil, err
	}
	ip, port32 := ips[0].String(), uint32(port)
	pid := libprocess.UPID{ID: masterActor, Host: ip, Port: int(port)}.String()
	return &mesos.MasterInfo{PID: &pid, Hostname: &host, Port: &port32, Address: &mesos.Address{Hostname: &host, IP: &ip, Port: int32(port)}}, nil
}

// Address is the host:port by which a detected master serves HTTP; named asks for its
// hostname, which certificates are made out to, instead of the IP address.
func Address(m *mesos.MasterInfo, named bool) (string, error) {
	if named && m.GetHostname() != "" {
		return net.JoinHostPort(m.GetHostname(), strconv.Itoa(int(m.GetPort()))), nil
	}
	upid, err := libprocess.ParseUPID(m.GetPID())
	if err != nil {
		return "", fmt.Errorf("the address of the leading master: %w", err)
	}
	return upid.Address(), nil
}
