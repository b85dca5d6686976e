package recordio

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestRecordsSurviveTheRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(t, "records")
		var stream bytes.Buffer
		w := NewWriter(&stream)
		for _, record := range records {
			if err := w.Write(record); err != nil {
				t.Fatal(err)
			}
		}
		r := NewReader(iotest.OneByteReader(&stream))
		for i, want := range records {
			got, err := r.Next()
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("record %d: got %q, %v; want %q", i, got, err, want)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Fatalf("after the last record: %v", err)
		}
	})
}

func TestMalformedStreams(t *testing.T) {
	for _, tc := range []struct {
		stream string
		want   error
	}{
		{"", io.EOF},
		{"12", io.ErrUnexpectedEOF},
		{"3\nab", io.ErrUnexpectedEOF},
		{"3\n", io.ErrUnexpectedEOF},
		{"x\n", ErrMalformed},
		{"-1\n", ErrMalformed},
		{"\n", ErrMalformed},
		{"67108865\n", ErrMalformed},
		{"99999999999999999999999\n", ErrMalformed},
		{"HTTP/1.1 400", ErrMalformed},
	} {
		_, err := NewReader(strings.NewReader(tc.stream)).Next()
		if !errors.Is(err, tc.want) {
			t.Errorf("%q: got %v, want %v", tc.stream, err, tc.want)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("5\nhello0\n"))
	f.Add([]byte("67108864\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		if len(stream) > 1<<16 {
			return
		}
		r := NewReader(bytes.NewReader(stream))
		for {
			if _, err := r.Next(); err != nil {
				return
			}
		}
	})
}
