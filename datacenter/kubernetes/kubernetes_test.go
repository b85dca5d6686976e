package kubernetes

import (
	"crypto/x509"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

func TestCertificatesAreKeptUntilTheyMustNot(t *testing.T) {
	dir := t.TempDir()
	ca, err := authority(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	again, err := authority(dir, "ca")
	if err != nil || !again.cert.Equal(ca.cert) {
		t.Fatalf("the authority changed (%v)", err)
	}
	one := identity{"server", []string{"group"}, []string{"172.30.1.1", "localhost"}}
	first, err := ca.issue(dir, "server", one)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	if _, err := first.cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost", KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		t.Error(err)
	}
	if kept, err := ca.issue(dir, "server", one); err != nil || !kept.cert.Equal(first.cert) {
		t.Errorf("a good certificate was replaced (%v)", err)
	}
	moved := identity{"server", nil, []string{"172.30.2.1"}}
	second, err := ca.issue(dir, "server", moved)
	if err != nil || second.cert.VerifyHostname("172.30.2.1") != nil {
		t.Errorf("no certificate for the new address (%v)", err)
	}
	other, err := authority(dir, "other-ca")
	if err != nil {
		t.Fatal(err)
	}
	if third, err := other.issue(dir, "server", moved); err != nil || third.cert.CheckSignatureFrom(other.cert) != nil {
		t.Errorf("no certificate of the new authority (%v)", err)
	}
	if time.Until(first.cert.NotAfter) > certificateLife || first.cert.IsCA {
		t.Error("a certificate may do too much")
	}
}

func TestKeysAreNobodysBusiness(t *testing.T) {
	c := &ControlPlane{Dir: t.TempDir(), Address: netip.MustParseAddr("172.30.1.1"), Kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"), Cgroup: func(string) string { return "" }}
	if err := c.Prepare(); err != nil {
		t.Fatal(err)
	}
	keys, err := filepath.Glob(filepath.Join(c.Dir, "pki", "*.key"))
	if err != nil || len(keys) < 10 {
		t.Fatalf("keys %v (%v)", keys, err)
	}
	for _, file := range append(keys, c.Kubeconfig, c.BridgeKubeconfig()) {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}

// The chart and tombolo up give the bridge the same rights.
func TestRightsAreThoseOfTheChart(t *testing.T) {
	data, err := os.ReadFile("../../charts/tombolo/templates/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^\s*\{\{-.*\}\}\n?|\{\{.*?\}\}`).ReplaceAll(data, nil)
	var chart [][]rbacv1.PolicyRule
	for _, document := range regexp.MustCompile(`(?m)^---$`).Split(string(text), -1) {
		var role rbacv1.ClusterRole
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			t.Fatal(err)
		}
		if role.Kind == "ClusterRole" || role.Kind == "Role" {
			chart = append(chart, role.Rules)
		}
	}
	ours := [][]rbacv1.PolicyRule{clusterRules, leaseRules, ownRules}
	for _, roles := range [][][]rbacv1.PolicyRule{chart, ours} {
		for _, rules := range roles {
			for _, r := range rules {
				slices.Sort(r.Verbs)
			}
		}
	}
	if diff := cmp.Diff(chart, ours); diff != "" {
		t.Errorf("chart (-), up (+):\n%s", diff)
	}
}
