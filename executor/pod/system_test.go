package pod

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSystemInfoOfAMachine(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"etc/machine-id":                 "0123abcd\n",
		"proc/sys/kernel/random/boot_id": "b-o-o-t\n",
		"proc/sys/kernel/osrelease":      "6.1.0-13-amd64\n",
		"usr/lib/os-release":             "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"sys/class/dmi/id/product_uuid":  "ABCD-EF\n",
		"sys/hypervisor/uuid":            "not asked\n",
		"var/lib/dbus/machine-id":        "not asked\n",
	} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	info := systemInfo(root, &containerRuntime{name: "containerd", version: "v2.1.0"})
	for name, pair := range map[string][2]string{
		"machine id": {info.MachineID, "0123abcd"}, "boot id": {info.BootID, "b-o-o-t"}, "kernel": {info.KernelVersion, "6.1.0-13-amd64"},
		"OS": {info.OSImage, "Debian GNU/Linux 12 (bookworm)"}, "UUID": {info.SystemUUID, "abcd-ef"}, "runtime": {info.ContainerRuntimeVersion, "containerd://v2.1.0"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", name, pair[0], pair[1])
		}
	}
	if bare := systemInfo(t.TempDir(), &containerRuntime{name: "x"}); bare.OSImage != "Linux" || bare.SystemUUID != "" {
		t.Errorf("a machine that tells nothing is %+v", bare)
	}
}
