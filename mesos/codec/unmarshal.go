package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"

	"github.com/gogo/protobuf/proto"
)

// UnmarshalJSON reads Mesos's JSON mapping into m, which should be empty. Unknown
// fields are ignored and null is the same as absent; an unknown name of an
// optional enum counts as absent too. A missing required field, a value of the
// wrong type and anything after the message are errors that name the place.
func UnmarshalJSON(data []byte, m proto.Message) error {
	v := reflect.ValueOf(m).Elem()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return fmt.Errorf("parse JSON: %w", syntaxError(err))
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("parse JSON: there is more after the first value, at byte %d", decoder.InputOffset())
	}
	object, ok := tree.(map[string]any)
	if !ok {
		return fmt.Errorf("parse JSON: expecting an object, not %s", kindOf(tree))
	}
	if err := setMessage(v, object); err != nil {
		return fmt.Errorf("convert JSON: %w", err)
	}
	return nil
}

func syntaxError(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("at byte %d: %w", syntax.Offset, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the text ends too early")
	}
	return err
}

// errUnknownEnum tells setMessage that a value names no value of its enum.
var errUnknownEnum = errors.New("not a value of the enum")

func setMessage(v reflect.Value, object map[string]any) error {
	p := planOf(v.Type())
	for _, f := range p.fields {
		value, ok := object[f.name]
		if !ok || value == nil {
			if f.required {
				return fmt.Errorf("missing required field %q", f.name)
			}
			continue
		}
		err := setValue(v.Field(f.index), value, f)
		if errors.Is(err, errUnknownEnum) && !f.required {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

func setValue(v reflect.Value, value any, f field) error {
	switch v.Kind() {
	case reflect.Pointer:
		target := reflect.New(v.Type().Elem())
		if err := setValue(target.Elem(), value, f); err != nil {
			return err
		}
		v.Set(target)
		return nil
	case reflect.Struct:
		object, ok := value.(map[string]any)
		if !ok {
			return mismatch("an object", value)
		}
		return setMessage(v, object)
	case reflect.Slice:
		return setSlice(v, value, f)
	case reflect.Map:
		return setMap(v, value, f)
	}
	return setScalar(v, value, f)
}

func setScalar(v reflect.Value, value any, f field) error {
	switch v.Kind() {
	case reflect.String:
		s, ok := value.(string)
		if !ok {
			return mismatch("a string", value)
		}
		v.SetString(s)
	case reflect.Bool:
		b, ok := value.(bool)
		if !ok {
			return mismatch("a boolean", value)
		}
		v.SetBool(b)
	case reflect.Float64, reflect.Float32:
		x, err := floatOf(value)
		if err != nil {
			return err
		}
		v.SetFloat(x)
	case reflect.Int32, reflect.Int64:
		if f.enum != nil {
			return setEnum(v, value, f)
		}
		return setInt(v, value)
	case reflect.Uint32, reflect.Uint64:
		return setUint(v, value)
	default:
		return fmt.Errorf("type %s has no JSON form", v.Type())
	}
	return nil
}

// setEnum takes names only: Mesos refuses numbers (recordings SCH-07a, OPR-05).
func setEnum(v reflect.Value, value any, f field) error {
	name, ok := value.(string)
	if !ok {
		return mismatch("the name of an enum value", value)
	}
	number, ok := f.enum[name]
	if !ok {
		return fmt.Errorf("%q: %w", name, errUnknownEnum)
	}
	v.SetInt(int64(number))
	return nil
}

func setInt(v reflect.Value, value any) error {
	text, err := numberText(value)
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(text, 10, v.Type().Bits())
	if err != nil {
		x, ferr := strconv.ParseFloat(text, 64)
		if ferr != nil || x != math.Trunc(x) || v.OverflowInt(int64(x)) || math.Abs(x) > 1<<53 {
			return mismatch("a whole number that fits", value)
		}
		number = int64(x)
	}
	v.SetInt(number)
	return nil
}

func setUint(v reflect.Value, value any) error {
	text, err := numberText(value)
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(text, 10, v.Type().Bits())
	if err != nil {
		// Mesos casts: -1 in 32 bits is the largest number, which SET_LOGGING_LEVEL relies on.
		if n, nerr := strconv.ParseInt(text, 10, 32); nerr == nil && v.Type().Bits() == 32 {
			v.SetUint(uint64(uint32(int32(n))))
			return nil
		}
		x, ferr := strconv.ParseFloat(text, 64)
		if ferr != nil || x != math.Trunc(x) || x < 0 || x > 1<<53 || v.OverflowUint(uint64(x)) {
			return mismatch("a whole number of at least 0 that fits", value)
		}
		number = uint64(x)
	}
	v.SetUint(number)
	return nil
}

func numberText(value any) (string, error) {
	switch value := value.(type) {
	case json.Number:
		return value.String(), nil
	case string: // 64-bit integers may come quoted, as proto3's mapping writes them
		return value, nil
	}
	return "", mismatch("a number", value)
}

func floatOf(value any) (float64, error) {
	text, err := numberText(value)
	if err != nil {
		return 0, err
	}
	_, quoted := value.(string)
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(x) || (quoted && !math.IsInf(x, 0)) {
		return 0, mismatch("a number", value)
	}
	return x, nil
}

func setSlice(v reflect.Value, value any, f field) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		text, ok := value.(string)
		if !ok {
			return mismatch("a base64 string", value)
		}
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fmt.Errorf("expecting base64: %w", err)
		}
		v.SetBytes(data)
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		return mismatch("an array", value)
	}
	if len(list) == 0 {
		return nil
	}
	slice := reflect.MakeSlice(v.Type(), 0, len(list))
	for i, item := range list {
		element := reflect.New(v.Type().Elem()).Elem()
		err := setValue(element, item, f)
		if errors.Is(err, errUnknownEnum) {
			continue
		}
		if err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
		slice = reflect.Append(slice, element)
	}
	v.Set(slice)
	return nil
}

func setMap(v reflect.Value, value any, f field) error {
	object, ok := value.(map[string]any)
	if !ok {
		return mismatch("an object", value)
	}
	m := reflect.MakeMapWithSize(v.Type(), len(object))
	for key, item := range object {
		element := reflect.New(v.Type().Elem()).Elem()
		if err := setValue(element, item, field{}); err != nil {
			return fmt.Errorf("[%q]: %w", key, err)
		}
		m.SetMapIndex(reflect.ValueOf(key), element)
	}
	v.Set(m)
	return nil
}

func mismatch(want string, got any) error {
	return fmt.Errorf("expecting %s, not %s", want, kindOf(got))
}

// kindOf describes a JSON value without repeating it: it may be long, or a secret.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case []any:
		return "an array"
	}
	return "an object"
}
