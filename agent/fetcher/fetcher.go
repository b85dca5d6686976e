// Package fetcher brings the files that a CommandInfo names into a sandbox, one
// after the other (reference section 4.6). It runs as the task's user, in a process
// of its own ("tombolo-executor fetch"), so that a task can only get what its user
// may read. Files are taken from paths (also file://) and by http and https; other
// schemes, which Mesos hands to a Hadoop client, are refused by name.
//
// Start reading at: Fetch.
package fetcher

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// URI is one thing to fetch; the fields mean what those of CommandInfo.URI do.
type URI struct {
	Value      string `json:"value"`
	Executable bool   `json:"executable"`
	Extract    bool   `json:"extract"`
	Output     string `json:"output"` // path below the sandbox; "": the last part of Value
}

// Limits of a transfer.
const (
	headerTimeout = time.Minute // Mesos: fetcher_stall_timeout
	stallTimeout  = time.Minute
)

// Fetch brings all of them into dir and reports progress to log. Values may hold
// credentials: only what is safe of them gets into messages.
func Fetch(ctx context.Context, uris []URI, dir string, log io.Writer) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	defer root.Close()
	for _, u := range uris {
		if err := fetch(ctx, u, root, log); err != nil {
			return fmt.Errorf("fetch '%s': %w", printable(u.Value), err)
		}
	}
	return nil
}

// Check refuses what Fetch could never bring, before anything is started.
func Check(u URI) error {
	_, err := source(u.Value)
	if err == nil {
		_, err = name(u)
	}
	return err
}

func fetch(ctx context.Context, u URI, root *os.Root, log io.Writer) error {
	src, err := source(u.Value)
	if err != nil {
		return err
	}
	to, err := name(u)
	if err != nil {
		return err
	}
	if parent := path.Dir(to); parent != "." {
		if err := root.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	fmt.Fprintf(log, "Fetching '%s' to '%s'\n", printable(u.Value), to)
	if err := src(ctx, root, to); err != nil {
		return err
	}
	if u.Executable {
		return root.Chmod(to, 0o755)
	}
	if u.Extract {
		return extract(ctx, filepath.Join(root.Name(), to), filepath.Join(root.Name(), path.Dir(to)), log)
	}
	return nil
}

// name is where below the sandbox the file goes.
func name(u URI) (string, error) {
	to := u.Output
	if to == "" {
		to = path.Base(strings.TrimPrefix(u.Value, "file://"))
		if parsed, err := url.Parse(u.Value); err == nil && parsed.Scheme != "" && parsed.Path != "" {
			to = path.Base(parsed.Path)
		}
	}
	if to == "." || to == "/" || !filepath.IsLocal(to) {
		return "", fmt.Errorf("'%s' is not a file name below the sandbox", to)
	}
	return path.Clean(to), nil
}

// transfer writes a source to a file of the sandbox.
type transfer func(ctx context.Context, root *os.Root, to string) error

func source(value string) (transfer, error) {
	scheme, _, hasScheme := strings.Cut(value, "://")
	switch {
	case !hasScheme && filepath.IsAbs(value):
		return fromPath(value), nil
	case !hasScheme:
		return nil, fmt.Errorf("a path must be absolute")
	case scheme == "file":
		return fromPath(strings.TrimPrefix(value, "file://")), nil
	case scheme == "http" || scheme == "https":
		return fromHTTP(value), nil
	}
	return nil, fmt.Errorf("scheme '%s' is not supported by this agent; file paths, http and https are", scheme)
}

func fromPath(p string) transfer {
	return func(_ context.Context, root *os.Root, to string) error {
		in, err := os.Open(p)
		if err != nil {
			return err
		}
		defer in.Close()
		if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
			return fmt.Errorf("not a regular file")
		}
		return store(root, to, in)
	}
}

func fromHTTP(value string) transfer {
	return func(ctx context.Context, root *os.Root, to string) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, value, nil)
		if err != nil {
			return fmt.Errorf("not a URL")
		}
		client := http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: headerTimeout}}
		response, err := client.Do(r)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("the server answers %s", response.Status)
		}
		watch := time.AfterFunc(stallTimeout, cancel)
		defer watch.Stop()
		return store(root, to, readerFunc(func(p []byte) (int, error) {
			watch.Reset(stallTimeout)
			return response.Body.Read(p)
		}))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func store(root *os.Root, to string, in io.Reader) error {
	out, err := root.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// extract unpacks what looks like an archive, by the programs that every machine
// has; anything else is left as it is.
func extract(ctx context.Context, file, dir string, log io.Writer) error {
	var cmd *exec.Cmd
	switch lower := strings.ToLower(file); {
	case suffixed(lower, ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz"):
		cmd = exec.CommandContext(ctx, "tar", "-C", dir, "-xf", file)
	case suffixed(lower, ".zip"):
		cmd = exec.CommandContext(ctx, "unzip", "-o", "-d", dir, file)
	case suffixed(lower, ".gz"):
		cmd = exec.CommandContext(ctx, "gzip", "-dkf", file)
	default:
		return nil
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("unpack with %s: %w", filepath.Base(cmd.Path), err)
	}
	return nil
}

func suffixed(name string, suffixes ...string) bool {
	for _, s := range suffixes {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	return false
}

// printable hides user, password and query of a URL.
func printable(value string) string {
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" {
		return value
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
