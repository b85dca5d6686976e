// Command tombolo-image makes the container image of the project out of the binaries in bin/, without a container engine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"
	"github.com/tombolo-project/tombolo/internal/image"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "tombolo-image:", err)
		os.Exit(1)
	}
}

type config struct {
	options   image.Options
	output    string
	tar       string
	reference string
	push      bool
	insecure  bool
}

func command() *cobra.Command {
	var c config
	cmd := &cobra.Command{
		Use:   "tombolo-image",
		Short: "Make the container image out of static binaries, without a container engine",
		Long: `Makes an OCI image from scratch: the binaries, the certificate authorities of this machine if it has any,
a non-root user. The same binaries give the same digest. Prints the image's reference with its digest.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&c.options.Binaries, "binaries", []string{"bin/tombolo", "bin/tombolo-executor", "bin/tombolo-pod-executor"}, "static binaries; the first is the entry point")
	f.StringVar(&c.options.Certificates, "certificates", image.Certificates(), "PEM bundle of certificate authorities to include; empty for none")
	f.StringVar(&c.options.Version, "version", "", "version label")
	f.StringVar(&c.options.Revision, "revision", "", "source revision label")
	f.StringVar(&c.output, "output", "build/image", "directory of the OCI layout to write; empty for none")
	f.StringVar(&c.tar, "tar", "", "file to write for container engines to load; empty for none")
	f.StringVar(&c.reference, "reference", "tombolo:latest", "name and tag of the image")
	f.BoolVar(&c.push, "push", false, "push the image to the registry that --reference names")
	f.BoolVar(&c.insecure, "insecure", false, "let the push use plain HTTP")
	return cmd
}

func (c *config) run(cmd *cobra.Command) error {
	var nameOptions []name.Option
	if c.insecure {
		nameOptions = append(nameOptions, name.Insecure)
	}
	ref, err := name.NewTag(c.reference, nameOptions...)
	if err != nil {
		return fmt.Errorf("--reference: %w", err)
	}
	if c.options.Created, err = sourceDate(); err != nil {
		return err
	}
	img, err := image.Build(c.options)
	if err != nil {
		return err
	}
	if c.output != "" {
		if err := image.WriteLayout(img, c.output, ref); err != nil {
			return err
		}
	}
	if c.tar != "" {
		if err := image.WriteTar(img, c.tar, ref); err != nil {
			return err
		}
	}
	if c.push {
		if err := image.Push(cmd.Context(), img, ref); err != nil {
			return err
		}
	}
	digest, err := img.Digest()
	if err != nil {
		return fmt.Errorf("compute the digest: %w", err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s@%s\n", c.reference, digest)
	return nil
}

// sourceDate is the time that reproducible builds agree on, or the zero time.
func sourceDate() (time.Time, error) {
	text, set := os.LookupEnv("SOURCE_DATE_EPOCH")
	if !set || text == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q: it must be a number of seconds", text)
	}
	return time.Unix(seconds, 0), nil
}
