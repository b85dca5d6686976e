package master

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/offers"
)

// Allocator is how a master decides who is offered what, beside what Config has of it.
type Allocator struct {
	RoleSorter      string   // "drf" or "random" (reference row ALC-02)
	FrameworkSorter string   // the same
	FairExcluded    []string // kinds of resources that don't count toward fair shares (reference row ALC-03)
	Whitelist       string   // file with the hosts whose agents are offered; empty: all (reference row ALT-06)
	Domain          string   // the master's DomainInfo as JSON, or a file with it; empty: none
}

const (
	whitelistInterval = 5 * time.Second
	maxWhitelist      = 16 << 20 // bytes
	maxDomain         = 64 << 10
)

func (a *Allocator) valid() error {
	for flag, text := range map[string]string{"role_sorter": a.RoleSorter, "framework_sorter": a.FrameworkSorter} {
		if _, err := offers.ParseSorter(text); err != nil {
			return fmt.Errorf("--%s: %w", flag, err)
		}
	}
	if _, err := a.domain(); err != nil {
		return fmt.Errorf("--domain: %w", err)
	}
	return nil
}

// domain reads where the master is.
func (a *Allocator) domain() (*mesos.DomainInfo, error) {
	text := strings.TrimSpace(a.Domain)
	if text == "" {
		return nil, nil
	}
	if !strings.HasPrefix(text, "{") {
		data, err := readLimited(text, maxDomain)
		if err != nil {
			return nil, err
		}
		text = string(data)
	}
	var d mesos.DomainInfo
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return nil, fmt.Errorf("it is no DomainInfo: %w", err)
	}
	if d.FaultDomain == nil || d.FaultDomain.Region.Name == "" || d.FaultDomain.Zone.Name == "" {
		return nil, fmt.Errorf(`it names no region and zone, as in {"fault_domain": {"region": {"name": "r"}, "zone": {"name": "z"}}}`)
	}
	return &d, nil
}

// into tells the core; Validate looked at everything before.
func (a *Allocator) into(c *core.Config) {
	var err error
	if c.RoleSorter, err = offers.ParseSorter(a.RoleSorter); err != nil {
		panic(err)
	}
	if c.FrameworkSorter, err = offers.ParseSorter(a.FrameworkSorter); err != nil {
		panic(err)
	}
	c.ExcludedFromShares = a.FairExcluded
	c.Region = c.Master.GetDomain().GetFaultDomain().GetRegion().Name
}

// watchWhitelist reads the file again and again and posts each change, until ctx ends. A file that can't be read changes
// nothing.
func watchWhitelist(ctx context.Context, path string, post func(core.Event), log *slog.Logger) {
	var last []string
	known, failed := false, ""
	tick := time.NewTicker(whitelistInterval)
	defer tick.Stop()
	for {
		hosts, err := readWhitelist(path)
		switch {
		case err != nil:
			if err.Error() != failed {
				log.Error("whitelist not read; what it said before holds", "error", err)
			}
			failed = err.Error()
		case !known || !slices.Equal(hosts, last):
			log.Info("whitelist read", "hosts", len(hosts))
			post(core.WhitelistRead{Hosts: hosts})
			last, known, failed = hosts, true, ""
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// readWhitelist reads one host name per line; an empty file lists none.
func readWhitelist(path string) ([]string, error) {
	data, err := readLimited(path, maxWhitelist)
	if err != nil {
		return nil, err
	}
	hosts := []string{}
	lines := bufio.NewScanner(strings.NewReader(string(data)))
	for lines.Scan() {
		if name := strings.TrimSpace(lines.Text()); name != "" {
			hosts = append(hosts, name)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("whitelist %s: %w", path, err)
	}
	return hosts, nil
}

// readLimited reads a file, given as a path or a file:// URL, that may have so many bytes.
func readLimited(path string, most int64) ([]byte, error) {
	f, err := os.Open(strings.TrimPrefix(path, "file://"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, most)
	}
	return data, nil
}
