// Package epoch names the reign of a leading master. Every message of a leader to an
// agent carries its epoch in an HTTP header, which Mesos's own agents ignore; ours
// refuse what comes from a reign before the newest they have obeyed.
package epoch

import (
	"fmt"
	"strconv"
	"strings"
)

// Header is the name of the HTTP header that carries an epoch.
const Header = "Tombolo-Epoch"

// Epoch is one reign. Epochs of one registry are ordered by Number, which is larger
// for whoever leads later; epochs of different registries cannot be compared. The
// zero Epoch is that of a master that has none, such as Mesos's.
type Epoch struct {
	Registry string // names the registry that the masters share; without slashes
	Number   int64  // above 0
}

// String is the header's value, "" for the zero Epoch.
func (e Epoch) String() string {
	if e == (Epoch{}) {
		return ""
	}
	return e.Registry + "/" + strconv.FormatInt(e.Number, 10)
}

// Parse reads what String wrote.
func Parse(text string) (Epoch, error) {
	if text == "" {
		return Epoch{}, nil
	}
	registry, number, ok := strings.Cut(text, "/")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || registry == "" || err != nil || n <= 0 {
		return Epoch{}, fmt.Errorf("%q is no epoch of the form registry/number", text)
	}
	return Epoch{Registry: registry, Number: n}, nil
}

// Before says that e ended before other began.
func (e Epoch) Before(other Epoch) bool {
	return e.Registry == other.Registry && e.Number < other.Number
}
