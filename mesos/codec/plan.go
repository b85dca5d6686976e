package codec

import (
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/gogo/protobuf/proto"
)

// field is what the JSON mapping needs to know of one field of a message.
type field struct {
	index    int
	name     string // in JSON, which is the proto name
	required bool
	enum     map[string]int32 // names of the enum's values; nil for other types
	names    map[int32]string
	// fallback is what Mesos writes for the field when it is unset: the default that
	// its definition declares. Invalid where there is none.
	fallback reflect.Value
}

// plan is the mapping of one message type.
type plan struct {
	fields []field
	byName map[string]int
}

var plans sync.Map // reflect.Type -> *plan

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := &plan{byName: map[string]int{}}
	for i := range t.NumField() {
		if f, ok := fieldOf(t.Field(i), i); ok {
			p.byName[f.name] = len(p.fields)
			p.fields = append(p.fields, f)
		}
	}
	stored, _ := plans.LoadOrStore(t, p)
	return stored.(*plan)
}

// fieldOf reads the tag that the protocol buffer generator left on a struct field:
// `protobuf:"bytes,1,req,name=framework_id,enum=mesos.X"`.
func fieldOf(sf reflect.StructField, index int) (field, bool) {
	tag, ok := sf.Tag.Lookup("protobuf")
	if !ok {
		return field{}, false
	}
	f := field{index: index}
	fallback := ""
	for _, part := range strings.Split(tag, ",") {
		switch {
		case part == "req":
			f.required = true
		case strings.HasPrefix(part, "name="):
			f.name = strings.TrimPrefix(part, "name=")
		case strings.HasPrefix(part, "def="):
			fallback = strings.TrimPrefix(part, "def=")
		case strings.HasPrefix(part, "enum="):
			f.enum = proto.EnumValueMap(strings.TrimPrefix(part, "enum="))
			f.names = make(map[int32]string, len(f.enum))
			for name, number := range f.enum {
				// Where two names share a number the generator's String method
				// knows which is canonical; it is asked when writing.
				f.names[number] = name
			}
		}
	}
	if fallback != "" && sf.Type.Kind() == reflect.Pointer {
		f.fallback = defaultOf(sf.Type.Elem(), fallback)
	}
	return f, f.name != ""
}

// defaultOf parses the default in a field's tag. The only ones of type string are
// the roles "*" of deprecated fields, which Mesos leaves out.
func defaultOf(t reflect.Type, text string) reflect.Value {
	v := reflect.New(t).Elem()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return reflect.Value{}
	}
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(n != 0)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(n))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(n))
	case reflect.Float64:
		v.SetFloat(n)
	default:
		return reflect.Value{}
	}
	return v
}
