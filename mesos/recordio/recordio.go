// Package recordio frames the messages of Mesos's HTTP streams: each record is
// its length in decimal ASCII, a newline, and that many bytes. Start reading at
// Reader.
//
// Mesos: docs/recordio.md.
package recordio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// MaxRecord is the largest record, in bytes, that is read. It bounds what a
// broken or hostile peer can make us allocate.
const MaxRecord = 64 << 20

// maxHeader is the longest length line: 20 digits hold any 64-bit length.
const maxHeader = 20

// ErrMalformed is wrapped by every error that means the peer does not speak RecordIO.
var ErrMalformed = errors.New("malformed RecordIO")

// Reader reads records from a stream. It belongs to one goroutine.
type Reader struct {
	in *bufio.Reader
}

// NewReader returns a Reader of the records in r.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReader(r)}
}

// Next returns the next record, which belongs to the caller. It returns io.EOF
// at a clean end, io.ErrUnexpectedEOF inside a record, and an error wrapping
// ErrMalformed for a length that is none or above MaxRecord.
func (r *Reader) Next() ([]byte, error) {
	length, err := r.length()
	if err != nil {
		return nil, err
	}
	record := make([]byte, length)
	if _, err := io.ReadFull(r.in, record); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return record, nil
}

func (r *Reader) length() (int, error) {
	var digits []byte
	for {
		b, err := r.in.ReadByte()
		if errors.Is(err, io.EOF) && len(digits) > 0 {
			return 0, io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		if b == '\n' {
			break
		}
		if b < '0' || b > '9' || len(digits) == maxHeader {
			return 0, fmt.Errorf("%w: length line has byte %q after %q", ErrMalformed, b, digits)
		}
		digits = append(digits, b)
	}
	length, err := strconv.ParseUint(string(digits), 10, 63)
	if err != nil || length > MaxRecord {
		return 0, fmt.Errorf("%w: record length %q is not between 0 and %d", ErrMalformed, digits, MaxRecord)
	}
	return int(length), nil
}

// Writer writes records to a stream. It belongs to one goroutine.
type Writer struct {
	out io.Writer
	buf []byte
}

// NewWriter returns a Writer of records to w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{out: w}
}

// Write frames record and writes it by a single call of the underlying writer.
func (w *Writer) Write(record []byte) error {
	w.buf = strconv.AppendInt(w.buf[:0], int64(len(record)), 10)
	w.buf = append(w.buf, '\n')
	w.buf = append(w.buf, record...)
	_, err := w.out.Write(w.buf)
	if cap(w.buf) > 1<<20 {
		w.buf = nil
	}
	return err
}
