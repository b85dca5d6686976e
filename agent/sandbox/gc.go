package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Collector removes the sandboxes of runs that ended long ago; reference section 4.5.
// How long they stay shrinks as the disk fills: Delay * max(0, 1 - Headroom - usage).
type Collector struct {
	WorkDir  string
	Delay    time.Duration           // --gc_delay
	Headroom float64                 // --gc_disk_headroom, 0 to 1
	Interval time.Duration           // --disk_watch_interval
	Live     func() map[string]bool  // sandboxes in use, nil while that isn't known yet
	Usage    func() (float64, error) // share of the disk that is used; nil: that of WorkDir
	Log      *slog.Logger

	running map[string]bool // those that were in use at the last look
}

// youngest protects, on a full disk, a sandbox that was made after the look at what is in use.
const youngest = time.Minute

// Run collects until ctx ends.
func (c *Collector) Run(ctx context.Context) {
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := c.Collect(now); err != nil {
				c.Log.Warn("old sandboxes can't be removed", "error", err)
			}
		}
	}
}

// Collect looks once. A sandbox's age counts from its end: its modification time is
// set when it is seen to be out of use. What ended while the agent was away counts
// from its last change, as in Mesos.
func (c *Collector) Collect(now time.Time) error {
	live := c.Live()
	if live == nil {
		return nil
	}
	used, err := c.usage()
	if err != nil {
		return err
	}
	limit := time.Duration(float64(c.Delay) * math.Max(0, 1-c.Headroom-used))
	dirs, err := filepath.Glob(filepath.Join(escape(c.WorkDir), "slaves/*/frameworks/*/executors/*/runs/*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || live[dir] { // "latest" is a link
			continue
		}
		age := now.Sub(info.ModTime())
		if c.running[dir] {
			age = 0
			errs = append(errs, os.Chtimes(dir, now, now))
		}
		if age > max(limit, youngest) {
			errs = append(errs, c.remove(dir))
		}
	}
	c.running = live
	return errors.Join(errs...)
}

func (c *Collector) usage() (float64, error) {
	if c.Usage != nil {
		return c.Usage()
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(c.WorkDir, &st); err != nil {
		return 0, fmt.Errorf("size of the disk of %s: %w", c.WorkDir, err)
	}
	used := float64(st.Blocks - st.Bfree)
	return used / max(1, used+float64(st.Bavail)), nil // as df counts
}

// remove deletes a sandbox and the directories above it that became empty. One with
// something mounted in it stays: what is mounted may belong to somebody else.
func (c *Collector) remove(dir string) error {
	mounted, err := mountBelow(dir)
	if err != nil {
		return err
	}
	if mounted != "" {
		return fmt.Errorf("%s stays: %s is mounted in it", dir, mounted)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	c.Log.Info("old sandbox removed", "directory", dir)
	runs := filepath.Dir(dir)
	latest := filepath.Join(runs, "latest")
	if _, err := os.Stat(latest); errors.Is(err, os.ErrNotExist) {
		_ = os.Remove(latest) // its run has gone; none is as good
	}
	for up := runs; filepath.Base(up) != "slaves"; up = filepath.Dir(up) {
		if os.Remove(up) != nil {
			break // not empty
		}
	}
	return nil
}

// mountBelow names a mount point in dir, or dir itself when it is one.
func mountBelow(dir string) (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	octal := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		if point := octal.Replace(fields[4]); point == dir || strings.HasPrefix(point, dir+"/") {
			return point, nil
		}
	}
	return "", lines.Err()
}

// escape makes a path of a pattern that matches only it.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
