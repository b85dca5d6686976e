// Package charts carries the Helm charts of the project inside the binary that imports it, and installs them with Helm's own
// library, so that tests and tools need neither the helm command nor a checkout.
//
// Start reading at tombolo/values.yaml, then tombolo/templates/deployment.yaml; install.go is how a release is made for real.
package charts

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

// files holds the chart; "all:" because helpers start with an underscore.
//
//go:embed all:tombolo
var files embed.FS

// Tombolo loads the chart that installs the bridge into an existing cluster. Every call returns a chart of its own.
func Tombolo() (*chart.Chart, error) {
	var buffered []*loader.BufferedFile
	err := fs.WalkDir(files, "tombolo", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		buffered = append(buffered, &loader.BufferedFile{Name: strings.TrimPrefix(path, "tombolo/"), Data: data})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the chart: %w", err)
	}
	loaded, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, fmt.Errorf("load the chart: %w", err)
	}
	return loaded, nil
}
