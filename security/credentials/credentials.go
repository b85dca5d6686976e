// Package credentials reads files of principals and their secrets, in Mesos's forms: JSON, and the older plain text of
// one "principal secret" per line. Start reading at Load.
package credentials

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// maxFile is the size, in bytes, above which a file is none of credentials.
const maxFile = 16 << 20

// Secret is a password or a key. It prints and logs as a placeholder, whatever the format. It is kept behind a pointer,
// since package fmt shows what is in others' unexported fields without asking for methods, but follows no pointers there.
type Secret struct{ kept *kept }

type kept struct{ bytes []byte }

// NewSecret makes a secret of text.
func NewSecret(text string) Secret { return Secret{&kept{[]byte(text)}} }

// Reveal returns the secret itself.
func (s Secret) Reveal() []byte {
	if s.kept == nil {
		return nil
	}
	return s.kept.bytes
}

// Empty says that there is none.
func (s Secret) Empty() bool { return len(s.Reveal()) == 0 }

// Equal compares without telling by its time where two secrets differ.
func (s Secret) Equal(o Secret) bool {
	a, b := sha256.Sum256(s.Reveal()), sha256.Sum256(o.Reveal())
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

const placeholder = "[secret]"

// String implements fmt.Stringer.
func (Secret) String() string { return placeholder }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return placeholder }

// Format implements fmt.Formatter, so that no verb reaches the bytes.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, placeholder) }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + placeholder + `"`), nil }

// Credential is a principal and what proves it.
type Credential struct {
	Principal string
	Secret    Secret
}

// Store holds the credentials that a server knows. It never changes once made.
type Store struct{ secrets map[string]Secret }

// NewStore holds the given credentials; of two for one principal the first counts.
func NewStore(list ...Credential) *Store {
	s := &Store{secrets: map[string]Secret{}}
	for _, c := range list {
		if _, there := s.secrets[c.Principal]; !there {
			s.secrets[c.Principal] = c.Secret
		}
	}
	return s
}

// Secret returns the secret of a principal.
func (s *Store) Secret(principal string) (Secret, bool) {
	secret, ok := s.secrets[principal]
	return secret, ok
}

// Verify says whether the secret is the principal's. It takes as long for a principal that nobody knows.
func (s *Store) Verify(principal string, secret Secret) bool {
	own, known := s.secrets[principal]
	return own.Equal(secret) && known
}

// Load reads a file of credentials, given as a path or file:// URL (--credentials). A file that others may read is
// taken, with a warning, as Mesos does.
func Load(path string, log *slog.Logger) (*Store, error) {
	content, err := Read(path, log)
	if err != nil {
		return nil, err
	}
	list, err := Parse(content)
	if err != nil {
		return nil, fmt.Errorf("the credentials in %s: %w", path, err)
	}
	return NewStore(list...), nil
}

// LoadOne reads a file with the one credential of a client (--credential).
func LoadOne(path string, log *slog.Logger) (Credential, error) {
	content, err := Read(path, log)
	if err != nil {
		return Credential{}, err
	}
	c, err := ParseOne(content)
	if err != nil {
		return Credential{}, fmt.Errorf("the credential in %s: %w", path, err)
	}
	return c, nil
}

// LoadSecret reads a file whose whole content, but for a line end, is a secret.
func LoadSecret(path string, log *slog.Logger) (Secret, error) {
	content, err := Read(path, log)
	if err != nil {
		return Secret{}, err
	}
	text := strings.TrimRight(string(content), "\r\n")
	if text == "" {
		return Secret{}, fmt.Errorf("%s holds no secret", path)
	}
	return NewSecret(text), nil
}

// Read returns the content of a file that others should not be able to read.
func Read(path string, log *slog.Logger) ([]byte, error) {
	f, err := os.Open(strings.TrimPrefix(path, "file://"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		log.Warn("a file with secrets can be read or written by others; take their permissions away", "path", path, "mode", info.Mode().Perm().String())
	}
	return readAll(f, path)
}

// ReadPublic returns the content of a file that holds no secrets.
func ReadPublic(path string) ([]byte, error) {
	f, err := os.Open(strings.TrimPrefix(path, "file://"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, path)
}

func readAll(f *os.File, path string) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return content, nil
}

type document struct {
	Principal *string `json:"principal"`
	Secret    *string `json:"secret"`
}

func (d document) credential() (Credential, error) {
	if d.Principal == nil || *d.Principal == "" {
		return Credential{}, errors.New(`"principal" is missing`)
	}
	if d.Secret == nil || *d.Secret == "" {
		return Credential{}, fmt.Errorf(`"secret" of principal %q is missing`, *d.Principal)
	}
	return Credential{Principal: *d.Principal, Secret: NewSecret(*d.Secret)}, nil
}

// Parse reads many credentials: {"credentials": [{"principal": ..., "secret": ...}]}, or lines "principal secret".
// No error shows what the content is.
func Parse(content []byte) ([]Credential, error) {
	var list []Credential
	if !isJSON(content) {
		lines := bufio.NewScanner(bytes.NewReader(content))
		lines.Buffer(nil, maxFile)
		for number := 1; lines.Scan(); number++ {
			c, there, err := parseLine(lines.Text())
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			if there {
				list = append(list, c)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, errors.New("a line is too long")
		}
	} else {
		var d struct {
			Credentials []document `json:"credentials"`
		}
		if json.Unmarshal(content, &d) != nil {
			return nil, errors.New(`not of the form {"credentials": [{"principal": "...", "secret": "..."}]}`)
		}
		for i, x := range d.Credentials {
			c, err := x.credential()
			if err != nil {
				return nil, fmt.Errorf("credentials[%d]: %w", i, err)
			}
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("there must be at least one")
	}
	return list, nil
}

// ParseOne reads one credential: {"principal": ..., "secret": ...}, or a line "principal secret".
func ParseOne(content []byte) (Credential, error) {
	if isJSON(content) {
		var d document
		if json.Unmarshal(content, &d) != nil {
			return Credential{}, errors.New(`not of the form {"principal": "...", "secret": "..."}`)
		}
		return d.credential()
	}
	list, err := Parse(content)
	if err == nil && len(list) > 1 {
		err = errors.New("there must be only one")
	}
	if err != nil {
		return Credential{}, err
	}
	return list[0], nil
}

func isJSON(content []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(content), []byte("{")) }

// parseLine reads a line "principal secret"; empty lines are none.
func parseLine(line string) (c Credential, there bool, err error) {
	fields := strings.Fields(line)
	switch len(fields) {
	case 0:
		return c, false, nil
	case 2:
		return Credential{Principal: fields[0], Secret: NewSecret(fields[1])}, true, nil
	}
	return c, false, errors.New(`not of the form "principal secret"`)
}
