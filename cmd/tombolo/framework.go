package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tombolo-project/tombolo/frameworks/service"
	"github.com/tombolo-project/tombolo/security/authn"
)

// frameworkFlags are the flags of every framework of ours that is a service.
type frameworkFlags struct {
	config   service.Config
	ip       string
	port     int
	failover int64
	client   clientFlags
}

// add adds the flags; port is the API's by default.
func (f *frameworkFlags) add(cmd *cobra.Command, name string, port int) {
	flags := cmd.Flags()
	flags.StringVar(&f.config.Master, "master", "localhost:5050", "the Mesos master, HOST:PORT[,HOST:PORT...]")
	flags.StringVar(&f.ip, "ip", "", "address to listen on (default: all)")
	flags.IntVar(&f.port, "port", port, "port of the API")
	flags.StringVar(&f.config.Host, "hostname", "", "how others reach this host (default: --ip or the host's name)")
	flags.StringVar(&f.config.Role, "role", "*", "role that resources are taken for")
	flags.StringVar(&f.config.User, "user", "root", "user that tasks run as which name none")
	flags.StringVar(&f.config.Name, "name", name, "name shown by the master")
	flags.Int64Var(&f.failover, "failover_timeout", 604800, "seconds the master keeps the tasks while this process is away")
	f.client.register(flags, true)
	flags.StringVar(&f.config.State, "state", "", "where state is kept: etcd://HOST:PORT/PATH or file:///DIRECTORY (required)")
}

// listen opens the API's port and returns the whole configuration. The caller closes its Listener.
func (f *frameworkFlags) listen(name string) (service.Config, error) {
	config := f.config
	credential, err := f.client.load(slog.Default())
	if err != nil {
		return config, err
	}
	config.Principal, config.HTTP, config.TLS = credential.Principal, authn.Client(credential, f.client.transport.HTTP()), f.client.transport.On()
	listener, err := net.Listen("tcp", net.JoinHostPort(f.ip, strconv.Itoa(f.port)))
	if err != nil {
		return config, fmt.Errorf("%s can't listen: %w (choose another --port)", name, err)
	}
	config.Listener, config.Log = listener, slog.Default()
	if config.Host == "" {
		config.Host = reachable(f.ip)
	}
	config.Failover = time.Duration(f.failover) * time.Second
	slog.Info(name+" listens", "address", listener.Addr().String())
	return config, nil
}

// reachable is how others reach a server that listens on ip: there, or at this host's name.
func reachable(ip string) string {
	if address := net.ParseIP(ip); address != nil && !address.IsUnspecified() {
		return ip
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "localhost"
}
