package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tombolo-project/tombolo/frameworks/marathon"
)

// marathonCommand is `tombolo marathon`: it keeps legacy processes running and speaks Marathon's REST API.
func marathonCommand() *cobra.Command {
	var own frameworkFlags
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
			if own.config.State == "" {
				return errors.New("marathon needs --state, for example --state=file:///var/lib/tombolo/marathon")
			}
			config, err := own.listen("marathon")
			if err != nil {
				return err
			}
			defer config.Listener.Close()
			return marathon.Run(cmd.Context(), config)
		},
	}
	cmd.Flags().SetNormalizeFunc(marathonFlag)
	own.add(cmd, "marathon", 8080)
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
