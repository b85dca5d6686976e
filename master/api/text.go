package api

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// text is JSON that is being written. Values of an object or array get their commas
// by themselves. Encoding by hand takes a tenth of what encoding/json does, which is
// what /state of a large datacenter costs.
type text []byte

// comma is due before a value that is not the first within its object or array.
func (t *text) comma() {
	if n := len(*t); n > 0 {
		switch (*t)[n-1] {
		case '{', '[', ':', ',':
		default:
			*t = append(*t, ',')
		}
	}
}

// open begins an object or array, close ends it.
func (t *text) open(bracket byte) {
	t.comma()
	*t = append(*t, bracket)
}

// reopen takes back the end of the object just written, so that it can get more fields.
func (t *text) reopen() { *t = (*t)[:len(*t)-1] }

func (t *text) close(bracket byte) { *t = append(*t, bracket) }

// field begins a value of an object. The name needs no quoting.
func (t *text) field(name string) {
	t.comma()
	*t = append(*t, '"')
	*t = append(*t, name...)
	*t = append(*t, '"', ':')
}

// named begins a value of an object under any name.
func (t *text) named(name string) {
	t.string(name)
	*t = append(*t, ':')
}

// Fields of an object.

func (t *text) stringField(name, value string) {
	t.field(name)
	t.string(value)
}

func (t *text) numberField(name string, value float64) {
	t.field(name)
	t.number(value)
}

func (t *text) boolField(name string, value bool) {
	t.field(name)
	*t = strconv.AppendBool(*t, value)
}

func (t *text) timeField(name string, at time.Time) { t.numberField(name, unix(at)) }

func (t *text) rawField(name string, value []byte) {
	t.field(name)
	*t = append(*t, value...)
}

// any writes what encoding/json makes of a value, for what is small or rare.
func (t *text) any(value any) {
	data, err := json.Marshal(value)
	if err != nil {
		panic("api: " + err.Error()) // only our own types come here
	}
	t.comma()
	*t = append(*t, data...)
}

func (t *text) anyField(name string, value any) {
	t.field(name)
	t.any(value)
}

func (t *text) strings(name string, list []string) {
	t.field(name)
	t.open('[')
	for _, s := range list {
		t.string(s)
	}
	t.close(']')
}

// number writes a finite number as encoding/json does; what is not finite becomes 0, for which JSON has no other way.
func (t *text) number(x float64) {
	t.comma()
	switch a := math.Abs(x); {
	case math.IsNaN(x) || math.IsInf(x, 0):
		*t = append(*t, '0')
	case x == math.Trunc(x) && a < 1<<53:
		*t = strconv.AppendInt(*t, int64(x), 10)
	case a < 1e-6 || a >= 1e21:
		*t = strconv.AppendFloat(*t, x, 'e', -1, 64)
	default:
		*t = strconv.AppendFloat(*t, x, 'f', -1, 64)
	}
}

const hexDigits = "0123456789abcdef"

// string writes a string; bytes that are no UTF-8 become the replacement character.
func (t *text) string(s string) {
	t.comma()
	b := append(*t, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	*t = append(append(b, s[start:]...), '"')
}

// labels writes labels as [{"key", "value"}].
func (t *text) labels(l *mesos.Labels) {
	t.open('[')
	for _, x := range l.GetLabels() {
		t.open('{')
		t.stringField("key", x.Key)
		if x.Value != nil {
			t.stringField("value", *x.Value)
		}
		t.close('}')
	}
	t.close(']')
}
