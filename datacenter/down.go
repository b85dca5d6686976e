package datacenter

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tombolo-project/tombolo/datacenter/cgroups"
	"github.com/tombolo-project/tombolo/datacenter/network"
	"github.com/tombolo-project/tombolo/datacenter/processes"
	"github.com/tombolo-project/tombolo/datacenter/state"
)

const (
	// stopLimit is how long a running supervisor may take to stop everything in order.
	stopLimit = 2 * time.Minute
	// partGrace is what each part gets from SIGTERM to SIGKILL when there is no supervisor.
	partGrace = 10 * time.Second
	// taskGrace is what tasks and pods get.
	taskGrace = 2 * time.Second
)

// Down stops the datacenter of the directory, whether its supervisor is alive or was
// killed, and leaves nothing of it on the machine but the directory; with purge not
// even that.
func Down(dir state.Directory, purge bool) error {
	if os.Geteuid() != 0 {
		return errors.New("tombolo down ends processes and removes network namespaces: run it as root")
	}
	if _, err := os.Stat(string(dir)); err != nil {
		return fmt.Errorf("there is no datacenter in %s: say with --dir where it is", dir)
	}
	if !dir.Exists() {
		return fmt.Errorf("there is no datacenter in %s: say with --dir where it is", dir)
	}
	lock, err := dir.Lock()
	if errors.Is(err, state.ErrRunning) {
		lock, err = stopHolder(dir)
	}
	if err != nil {
		return err
	}
	err = sweep(dir)
	if err == nil && purge {
		err = dir.Purge()
	}
	return errors.Join(err, lock.Release())
}

// stopHolder has the supervisor stop, and kills it if it does not.
func stopHolder(dir state.Directory) (*state.Lock, error) {
	holder := dir.Holder()
	if holder <= 0 {
		return nil, fmt.Errorf("the datacenter in %s is locked by a process that did not leave its number", dir)
	}
	if err := syscall.Kill(holder, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return nil, fmt.Errorf("stop the supervisor (pid %d): %w", holder, err)
	}
	lock, err := dir.AwaitLock(stopLimit)
	if !errors.Is(err, state.ErrRunning) {
		return lock, err
	}
	if err := syscall.Kill(holder, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return nil, fmt.Errorf("kill the supervisor (pid %d): %w", holder, err)
	}
	return dir.AwaitLock(10 * time.Second)
}

// sweep takes away everything the datacenter has on the machine outside its directory,
// found by the directory alone. It can be repeated and goes on after an error.
func sweep(dir state.Directory) error {
	kept, err := dir.Load()
	if err != nil {
		return err
	}
	tree, err := cgroups.Find(treeName(kept.Number))
	if err != nil {
		return err
	}
	plan, err := network.NewPlan(kept.Number, max(kept.Agents, 1))
	if err != nil {
		return err
	}
	errs := []error{
		processes.EndRecorded(dir.Run(), partGrace),
		endTasks(tree, kept.Agents),
		tree.End("", 0),
		unmountBelow(runtimeDir(kept.Number), string(dir)),
		tree.Remove(),
		plan.Remove(),
		os.RemoveAll(runtimeDir(kept.Number)),
		forgetContainers(dir),
		forgetNetworks(cniCache, runtimeDir(kept.Number)),
	}
	return errors.Join(append(errs, restoreForwarding(dir, kept, plan))...)
}

// restoreForwarding undoes what forward did, unless another datacenter of the machine
// needs it now.
func restoreForwarding(dir state.Directory, kept state.Kept, plan network.Plan) error {
	if kept.Forwarding == "" {
		return nil
	}
	others, err := plan.Others()
	if err != nil || others {
		return err
	}
	if err := os.WriteFile(forwarding, []byte(kept.Forwarding), 0o644); err != nil {
		return fmt.Errorf("packet forwarding: %w", err)
	}
	kept.Forwarding = ""
	return dir.Save(kept)
}

// endTasks lets the agents' tasks and pods end by themselves for a moment.
func endTasks(tree cgroups.Tree, agents int) error {
	var errs []error
	for k := 1; k <= agents; k++ {
		errs = append(errs, tree.End(fmt.Sprintf("agent-%d", k), taskGrace))
	}
	return errors.Join(errs...)
}

// forgetContainers removes what containerd knows of containers that ended with the
// machine, and with it its images: they are a moment's work to fetch again.
func forgetContainers(dir state.Directory) error {
	roots, err := filepath.Glob(dir.Path("agents", "*", "containerd", "root"))
	if err != nil {
		return err
	}
	var errs []error
	for _, root := range roots {
		errs = append(errs, os.RemoveAll(root))
	}
	return errors.Join(errs...)
}

// cniCache is where every user of libcni on the machine notes the network interfaces it
// made, each in a file; containerd can't be told another place.
const cniCache = "/var/lib/cni"

// forgetNetworks removes the notes on interfaces of pods that had their network
// namespaces below the directory.
func forgetNetworks(cache, namespaces string) error {
	results := filepath.Join(cache, "results")
	entries, err := os.ReadDir(results)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("notes of libcni: %w", err)
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(results, e.Name())
		var note struct {
			Namespace string `json:"netns"`
		}
		data, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(data, &note) != nil || !strings.HasPrefix(note.Namespace, namespaces+"/") {
			continue // another's, or taken away by its owner just now
		}
		errs = append(errs, os.Remove(path))
	}
	for _, dir := range []string{results, cache} { // only while nobody else has anything there
		if err := os.Remove(dir); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("notes of libcni: %w", err))
		}
	}
	return errors.Join(errs...)
}

// unmountBelow unmounts everything below the directories, the deepest first.
func unmountBelow(dirs ...string) error {
	var errs []error
	for range 3 { // a mount can hide another
		points, err := mountsBelow(dirs)
		if err != nil {
			return err
		}
		if len(points) == 0 {
			return nil
		}
		errs = nil
		for _, point := range slices.Backward(points) {
			if err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, fmt.Errorf("unmount %s: %w", point, err))
			}
		}
	}
	return errors.Join(errs...)
}

func mountsBelow(dirs []string) ([]string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	defer file.Close()
	var points []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		point := unescape.Replace(fields[4])
		for _, dir := range dirs {
			if strings.HasPrefix(point, dir+"/") {
				points = append(points, point)
			}
		}
	}
	return points, lines.Err()
}

// unescape undoes what the kernel does to a path in mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
