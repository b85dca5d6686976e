// Package codec turns the messages of the Mesos APIs into bytes and back, in the
// two forms Mesos speaks: JSON by Mesos's own mapping, and protocol buffers. It
// also chooses between them from the headers of a request. Start reading at Codec.
//
// The JSON mapping (reference section 1.1, "JSON mapping"): proto field names,
// enums as names, bytes as base64, 64-bit integers as numbers, unset and empty
// fields left out, unknown fields ignored, required fields enforced. The JSON
// methods that mesos-go generates do neither of the last two and write nulls.
package codec

import (
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/gogo/protobuf/proto"
)

// Media types of the two codecs, and of the RecordIO streams of the agent API.
const (
	MediaTypeJSON     = "application/json"
	MediaTypeProtobuf = "application/x-protobuf"
	MediaTypeRecordIO = "application/recordio"
)

// Codec is one form that messages take on the wire. Its methods are safe for
// concurrent use. Unmarshal's errors say which field is wrong.
type Codec interface {
	MediaType() string
	Marshal(proto.Message) ([]byte, error)
	Unmarshal([]byte, proto.Message) error
}

// The two codecs of Mesos.
var (
	JSON     Codec = jsonCodec{}
	Protobuf Codec = protobufCodec{}
)

// Negotiation failures; the HTTP status that answers each is in its comment.
var (
	ErrNoContentType        = errors.New("expecting 'Content-Type' to be present")                                    // 400
	ErrUnsupportedMediaType = errors.New("expecting 'Content-Type' of " + MediaTypeJSON + " or " + MediaTypeProtobuf) // 415
	ErrNotAcceptable        = errors.New("expecting 'Accept' to allow " + MediaTypeJSON + " or " + MediaTypeProtobuf) // 406
)

// ForContentType returns the codec of a request's body (reference rows SCH-06 to SCH-08).
func ForContentType(header string) (Codec, error) {
	if header == "" {
		return nil, ErrNoContentType
	}
	media, _, err := mime.ParseMediaType(header)
	if err != nil {
		return nil, fmt.Errorf("%w, not %q", ErrUnsupportedMediaType, header)
	}
	switch media {
	case MediaTypeJSON:
		return JSON, nil
	case MediaTypeProtobuf:
		return Protobuf, nil
	}
	return nil, fmt.Errorf("%w, not %q", ErrUnsupportedMediaType, header)
}

// ForAccept returns the codec of a response: JSON wherever the client allows it,
// which it does by saying nothing (reference row SCH-10).
func ForAccept(header string) (Codec, error) {
	switch {
	case accepts(header, MediaTypeJSON):
		return JSON, nil
	case accepts(header, MediaTypeProtobuf):
		return Protobuf, nil
	}
	return nil, fmt.Errorf("%w, not %q", ErrNotAcceptable, header)
}

func accepts(header, media string) bool {
	if strings.TrimSpace(header) == "" {
		return true
	}
	family, _, _ := strings.Cut(media, "/")
	for _, part := range strings.Split(header, ",") {
		kind, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil || params["q"] == "0" {
			continue
		}
		if kind == media || kind == "*/*" || kind == family+"/*" {
			return true
		}
	}
	return false
}

type protobufCodec struct{}

func (protobufCodec) MediaType() string                       { return MediaTypeProtobuf }
func (protobufCodec) Marshal(m proto.Message) ([]byte, error) { return proto.Marshal(m) }
func (protobufCodec) Unmarshal(data []byte, m proto.Message) error {
	if err := proto.Unmarshal(data, m); err != nil {
		return fmt.Errorf("parse %T: %w", m, err)
	}
	return nil
}

type jsonCodec struct{}

func (jsonCodec) MediaType() string                            { return MediaTypeJSON }
func (jsonCodec) Marshal(m proto.Message) ([]byte, error)      { return MarshalJSON(m) }
func (jsonCodec) Unmarshal(data []byte, m proto.Message) error { return UnmarshalJSON(data, m) }
