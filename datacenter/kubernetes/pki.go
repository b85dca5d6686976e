package kubernetes

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	authorityLife   = 10 * 365 * 24 * time.Hour
	certificateLife = 365 * 24 * time.Hour
	renewBefore     = 30 * 24 * time.Hour
)

// pair is a certificate and its key, and the files they are in.
type pair struct {
	certFile, keyFile string
	cert              *x509.Certificate
	key               crypto.Signer
}

// identity is what a certificate says of its holder.
type identity struct {
	name   string   // common name: the user's, for Kubernetes
	groups []string // organisations: the user's groups
	hosts  []string // addresses and names it may serve as; none for a client only
}

// authority loads the certificate authority of this name, or makes it.
func authority(dir, name string) (pair, error) {
	p := pair{certFile: filepath.Join(dir, name+".crt"), keyFile: filepath.Join(dir, name+".key")}
	if err := p.load(); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "tombolo " + name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign,
	}
	return p, p.make(template, nil)
}

// issue loads the certificate of this file name, or has the authority issue one: also
// when the one there ends soon, is another authority's or names other hosts.
func (ca pair) issue(dir, file string, id identity) (pair, error) {
	p := pair{certFile: filepath.Join(dir, file+".crt"), keyFile: filepath.Join(dir, file+".key")}
	err := p.load()
	if err == nil && p.good(ca, id) {
		return p, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: id.name, Organization: id.groups},
		NotBefore:   now.Add(-time.Hour),
		NotAfter:    now.Add(certificateLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(id.hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range id.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return p, p.make(template, &ca)
}

func (p pair) good(ca pair, id identity) bool {
	if time.Until(p.cert.NotAfter) < renewBefore || p.cert.CheckSignatureFrom(ca.cert) != nil {
		return false
	}
	for _, host := range id.hosts {
		if p.cert.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

// make signs the template, with its own key when there is no authority, and writes both files.
func (p *pair) make(template *x509.Certificate, ca *pair) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make key %s: %w", p.keyFile, err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return fmt.Errorf("make serial number: %w", err)
	}
	parent, signer := template, crypto.Signer(key)
	if ca != nil {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return fmt.Errorf("make certificate %s: %w", p.certFile, err)
	}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("make certificate %s: %w", p.certFile, err)
	}
	p.key = key
	if err := writeKey(p.keyFile, key); err != nil {
		return err
	}
	return writePEM(p.certFile, "CERTIFICATE", der, 0o644)
}

func (p *pair) load() error {
	certPEM, err := os.ReadFile(p.certFile)
	if err != nil {
		return err
	}
	keyPEM, err := os.ReadFile(p.keyFile)
	if err != nil {
		return err
	}
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return fmt.Errorf("%s or %s is not PEM: remove both to have them made anew", p.certFile, p.keyFile)
	}
	if p.cert, err = x509.ParseCertificate(certBlock.Bytes); err != nil {
		return fmt.Errorf("%s: %w", p.certFile, err)
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", p.keyFile, err)
	}
	p.key = key
	return nil
}

// signingKey makes a bare key once: the one that signs service account tokens.
func signingKey(path string) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make key %s: %w", path, err)
	}
	return writeKey(path, key)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("make key %s: %w", path, err)
	}
	return writePEM(path, "EC PRIVATE KEY", der, 0o600)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	data := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path, data, mode); err != nil {
		return fmt.Errorf("keep %s: %w", path, err)
	}
	return nil
}
