package master

import (
	"os"
	"runtime/debug"
	"time"

	"github.com/tombolo-project/tombolo/master/api"
)

// commit is set when linking.
var commit string

// buildFacts says from what this binary was made, as far as it knows: the commit
// and its time, or else the time of the binary's file.
func buildFacts() api.Build {
	b := api.Build{User: "tombolo", SHA: commit}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.SHA = s.Value
			case "vcs.time":
				if at, err := time.Parse(time.RFC3339, s.Value); err == nil {
					b.Time = at
				}
			}
		}
	}
	if !b.Time.IsZero() {
		return b
	}
	if path, err := os.Executable(); err == nil {
		if stat, err := os.Stat(path); err == nil {
			b.Time = stat.ModTime()
		}
	}
	return b
}
