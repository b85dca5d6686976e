package network

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// ensureMasquerade lets agents and pods reach what the machine itself reaches, with
// the machine's address. Traffic inside the datacenter keeps its addresses. It needs
// the machine to forward packets (/proc/sys/net/ipv4/ip_forward), which is the
// caller's to decide.
func (p Plan) ensureMasquerade() error {
	inside := fmt.Sprintf("{ %s, %s }", p.Subnet, p.Pods)
	rules := fmt.Sprintf(`table ip %[1]s
delete table ip %[1]s
table ip %[1]s {
	chain postrouting {
		type nat hook postrouting priority srcnat;
		ip saddr %[2]s ip daddr != %[2]s masquerade
	}
}
`, p.table(), inside)
	return nft(rules)
}

func (p Plan) removeMasquerade() error {
	if _, err := exec.LookPath("nft"); err != nil {
		return nil // then we never made the table either
	}
	// Declared first, so that deleting one that is not there is no error.
	return nft(fmt.Sprintf("table ip %[1]s\ndelete table ip %[1]s\n", p.table()))
}

func (p Plan) table() string { return fmt.Sprintf("tombolo_%d", p.Number) }

func nft(rules string) error {
	path, err := exec.LookPath("nft")
	if err != nil {
		return errors.New("the command nft is missing: run make deps (package nftables)")
	}
	cmd := exec.Command(path, "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
