package pod

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// systemInfo describes the machine as a kubelet does; what the files below root (normally "/") do not tell stays empty.
// The version of the kubelet is the bridge's to fill in.
func systemInfo(root string, cri *containerRuntime) corev1.NodeSystemInfo {
	info := corev1.NodeSystemInfo{
		MachineID:               firstLine(root, "etc/machine-id", "var/lib/dbus/machine-id"),
		SystemUUID:              strings.ToLower(firstLine(root, "sys/class/dmi/id/product_uuid", "sys/hypervisor/uuid")),
		BootID:                  firstLine(root, "proc/sys/kernel/random/boot_id"),
		KernelVersion:           firstLine(root, "proc/sys/kernel/osrelease"),
		OSImage:                 osImage(root),
		ContainerRuntimeVersion: cri.name + "://" + cri.version,
		OperatingSystem:         runtime.GOOS,
		Architecture:            runtime.GOARCH,
	}
	if info.SystemUUID == "" {
		info.SystemUUID = info.MachineID
	}
	return info
}

// firstLine is that of the first of the files that has one.
func firstLine(root string, paths ...string) string {
	for _, path := range paths {
		data, err := os.ReadFile(filepath.Join(root, path)) //nolint:gosec // fixed names
		if err != nil {
			continue // machines differ in what they tell
		}
		if line, _, _ := strings.Cut(string(data), "\n"); strings.TrimSpace(line) != "" {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// osImage is PRETTY_NAME of os-release.
func osImage(root string) string {
	for _, path := range []string{"etc/os-release", "usr/lib/os-release"} {
		data, err := os.ReadFile(filepath.Join(root, path)) //nolint:gosec // fixed names
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			value, found := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME=")
			if !found {
				continue
			}
			if plain, err := strconv.Unquote(value); err == nil {
				return plain
			}
			return strings.Trim(value, "'")
		}
	}
	return "Linux"
}
