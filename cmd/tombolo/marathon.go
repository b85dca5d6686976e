package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tombolo-project/tombolo/frameworks/marathon"
)

// marathonCommand is `tombolo marathon`: it keeps legacy processes running and speaks Marathon's REST API.
func marathonCommand() *cobra.Command {
	var config marathon.Config
	var ip string
	var port int
	var failover int64
	cmd := &cobra.Command{
		Use:   "marathon",
		Short: "Keep plain processes running (Marathon's REST API)",
		Long: `Runs long-lived processes on the datacenter's agents, as described by Marathon app
definitions on /v2/apps. Flags are read from MARATHON_<FLAG> too.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := environment(cmd, "MARATHON_"); err != nil {
				return err
			}
			if config.State == "" {
				return errors.New("marathon needs --state, for example --state=file:///var/lib/tombolo/marathon")
			}
			listener, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
			if err != nil {
				return fmt.Errorf("marathon can't listen: %w (choose another --port)", err)
			}
			defer listener.Close()
			config.Listener, config.Log = listener, slog.Default()
			if config.Host == "" {
				config.Host = reachable(ip)
			}
			config.Failover = time.Duration(failover) * time.Second
			slog.Info("marathon listens", "address", listener.Addr().String())
			return marathon.Run(cmd.Context(), config)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config.Master, "master", "localhost:5050", "the Mesos master, HOST:PORT[,HOST:PORT...]")
	flags.SetNormalizeFunc(marathonFlag)
	flags.StringVar(&ip, "ip", "", "address to listen on (default: all)")
	flags.IntVar(&port, "port", 8080, "port of the REST API")
	flags.StringVar(&config.Host, "hostname", "", "how others reach this host (default: --ip or the host's name)")
	flags.StringVar(&config.Role, "role", "*", "role that resources are taken for")
	flags.StringVar(&config.User, "user", "root", "user that tasks run as which name none")
	flags.StringVar(&config.Name, "name", "marathon", "name shown by the master")
	flags.Int64Var(&failover, "failover_timeout", 604800, "seconds the master keeps the tasks while this process is away")
	flags.StringVar(&config.State, "state", "", "where state is kept: etcd://HOST:PORT/PATH or file:///DIRECTORY (required)")
	return cmd
}

// marathonFlag lets Marathon's own names of flags be used, too.
func marathonFlag(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	for old, ours := range map[string]string{"http_address": "ip", "http_port": "port", "mesos_role": "role", "mesos_user": "user",
		"framework_name": "name"} {
		if name == old {
			name = ours
		}
	}
	return pflag.NormalizedName(name)
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
