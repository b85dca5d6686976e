package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tombolo-project/tombolo/datacenter"
	"github.com/tombolo-project/tombolo/datacenter/state"
)

// downCommand stops what up started.
func downCommand() *cobra.Command {
	var dir string
	var purge bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the datacenter of this machine and leave nothing behind",
		Long: `Stops every process of the datacenter in the directory, also when the tombolo up
that started them was killed, and removes its cgroups, mounts, network namespaces and
routes. The directory stays, for the next up, unless --purge is given.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			absolute, err := stateDirectory(dir)
			if err != nil {
				return err
			}
			if err := datacenter.Down(absolute, purge); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "everything is stopped")
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", state.Default(), "directory given to up")
	cmd.Flags().BoolVar(&purge, "purge", false, "remove the directory too")
	return cmd
}

// stateDirectory is the directory that --dir names.
func stateDirectory(dir string) (state.Directory, error) {
	if dir == "" {
		return "", errors.New("--dir is empty: name the directory of the datacenter, or leave the flag out")
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("--dir: %w", err)
	}
	return state.Directory(absolute), nil
}
