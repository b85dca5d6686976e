package codec

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/gogo/protobuf/proto"
)

// MarshalJSON returns m in Mesos's JSON mapping. It fails only for a number that
// JSON can't hold. Infinity is written as a string, as limits have it
// (reference row TV-09).
func MarshalJSON(m proto.Message) ([]byte, error) {
	v := reflect.ValueOf(m)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, fmt.Errorf("encode %T: it is nil", m)
		}
		v = v.Elem()
	}
	return appendMessage(make([]byte, 0, 512), v)
}

func appendMessage(out []byte, v reflect.Value) ([]byte, error) {
	out = append(out, '{')
	first := true
	for _, f := range planOf(v.Type()).fields {
		fv := v.Field(f.index)
		if omitted(fv, f) {
			if !f.fallback.IsValid() {
				continue
			}
			fv = f.fallback
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		out = append(out, '"')
		out = append(out, f.name...)
		out = append(out, '"', ':')
		var err error
		if out, err = appendValue(out, fv, f); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return append(out, '}'), nil
}

// omitted tells whether a field counts as unset. Optional enums that the
// generator made values have their "unknown" at zero.
func omitted(v reflect.Value, f field) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return v.IsNil()
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.IsNil() && !f.required
		}
		return v.Len() == 0
	case reflect.Map:
		return v.Len() == 0
	case reflect.Int32:
		return f.enum != nil && !f.required && v.Int() == 0
	}
	return false
}

func appendValue(out []byte, v reflect.Value, f field) ([]byte, error) {
	switch v.Kind() {
	case reflect.Pointer:
		return appendValue(out, v.Elem(), f)
	case reflect.Struct:
		return appendMessage(out, v)
	case reflect.String:
		return appendString(out, v.String()), nil
	case reflect.Bool:
		return strconv.AppendBool(out, v.Bool()), nil
	case reflect.Int32, reflect.Int64:
		if f.enum != nil {
			return appendString(out, enumName(v, f)), nil
		}
		return strconv.AppendInt(out, v.Int(), 10), nil
	case reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(out, v.Uint(), 10), nil
	case reflect.Float64, reflect.Float32:
		return appendFloat(out, v.Float())
	case reflect.Slice:
		return appendSlice(out, v, f)
	case reflect.Map:
		return appendMap(out, v, f)
	}
	return nil, fmt.Errorf("type %s has no JSON form", v.Type())
}

func enumName(v reflect.Value, f field) string {
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return s.String()
	}
	if name, ok := f.names[int32(v.Int())]; ok {
		return name
	}
	return strconv.FormatInt(v.Int(), 10)
}

// appendFloat writes whole numbers with ".0", as Mesos does.
func appendFloat(out []byte, x float64) ([]byte, error) {
	switch {
	case math.IsInf(x, 1):
		return append(out, `"Infinity"`...), nil
	case math.IsInf(x, -1):
		return append(out, `"-Infinity"`...), nil
	case math.IsNaN(x):
		return nil, fmt.Errorf("NaN has no JSON form")
	}
	start := len(out)
	out = strconv.AppendFloat(out, x, 'f', -1, 64)
	if len(out)-start > 24 { // huge or tiny
		return strconv.AppendFloat(out[:start], x, 'e', -1, 64), nil
	}
	if !slices.Contains(out[start:], '.') {
		out = append(out, '.', '0')
	}
	return out, nil
}

func appendSlice(out []byte, v reflect.Value, f field) ([]byte, error) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		out = append(out, '"')
		out = base64.StdEncoding.AppendEncode(out, v.Bytes())
		return append(out, '"'), nil
	}
	out = append(out, '[')
	for i := range v.Len() {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendValue(out, v.Index(i), f); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return append(out, ']'), nil
}

func appendMap(out []byte, v reflect.Value, f field) ([]byte, error) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
	out = append(out, '{')
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, key.String()), ':')
		var err error
		if out, err = appendValue(out, v.MapIndex(key), f); err != nil {
			return nil, fmt.Errorf("[%q]: %w", key.String(), err)
		}
	}
	return append(out, '}'), nil
}

// appendString writes s as a JSON string. Bytes that are not UTF-8 become U+FFFD;
// the slash is not escaped (since Mesos 1.7).
func appendString(out []byte, s string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
			i++
		case c == '\n':
			out = append(out, '\\', 'n')
			i++
		case c == '\t':
			out = append(out, '\\', 't')
			i++
		case c == '\r':
			out = append(out, '\\', 'r')
			i++
		case c < 0x20 || c == 0x7f:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			i++
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			out = utf8.AppendRune(out, r)
			i += size
		}
	}
	return append(out, '"')
}
