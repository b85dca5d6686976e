// Package crilog reads the log files that container runtimes write for CRI: one line for each write of the container,
// "<RFC 3339 time> stdout|stderr F|P <text>", where P marks a piece of a line that goes on.
//
// Start reading at Copy.
package crilog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Options are the options of a kubelet's /containerLogs.
type Options struct {
	Follow     bool
	Timestamps bool
	Since      time.Time // zero: from the beginning
	Tail       int64     // lines; negative: all
	Limit      int64     // bytes; 0: none
}

// pollInterval is how often a log that is followed is looked at.
const pollInterval = 100 * time.Millisecond

// maxLine bounds one line of a log file; runtimes split at 16 KiB.
const maxLine = 1 << 20

// entry is one line of a log file.
type entry struct {
	time    time.Time
	stamp   []byte
	text    []byte
	partial bool
}

// parse reads one line of a log file, without its newline.
func parse(line []byte) (entry, error) {
	fields := bytes.SplitN(line, []byte{' '}, 4)
	if len(fields) < 3 {
		return entry{}, fmt.Errorf("log line %.40q is not in CRI's format", line)
	}
	stamp, err := time.Parse(time.RFC3339Nano, string(fields[0]))
	if err != nil {
		return entry{}, fmt.Errorf("log line %.40q has no time: %w", line, err)
	}
	e := entry{time: stamp, stamp: fields[0], partial: bytes.HasPrefix(fields[2], []byte("P"))}
	if len(fields) == 4 {
		e.text = fields[3]
	}
	return e, nil
}

// Copy writes the log at path to out. With Follow it goes on until ctx ends or ended says that the container will write no
// more; a file that is rotated (replaced by a new one of the same name) is followed.
func Copy(ctx context.Context, path string, options Options, out io.Writer, ended func() bool) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if options.Tail >= 0 {
		offset, err := tailOffset(file, options.Tail)
		if err != nil {
			return err
		}
		if _, err := file.Seek(offset, io.SeekStart); err != nil {
			return err
		}
	}
	c := &copier{options: options, out: out, midLine: false}
	reader := bufio.NewReaderSize(file, 64<<10)
	var rest []byte
	for {
		last := !options.Follow || ended()
		rest, err = c.drain(reader, rest)
		if errors.Is(err, errLimit) {
			return nil
		}
		if err != nil {
			return err
		}
		switch replaced, err := openReplacement(path, file); {
		case err != nil:
			return err
		case replaced != nil:
			_ = file.Close()
			file, rest = replaced, nil
			reader.Reset(file)
			continue
		}
		if last {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}

// errLimit says that the limit of bytes is reached.
var errLimit = errors.New("limit reached")

type copier struct {
	options Options
	out     io.Writer
	written int64
	midLine bool // the line written last goes on
}

// drain copies all whole lines that there are. rest is the beginning of a line that is still being written.
func (c *copier) drain(reader *bufio.Reader, rest []byte) ([]byte, error) {
	for {
		piece, err := reader.ReadSlice('\n')
		if len(rest)+len(piece) > maxLine {
			return nil, fmt.Errorf("a log line is longer than %d bytes", maxLine)
		}
		if errors.Is(err, bufio.ErrBufferFull) || errors.Is(err, io.EOF) {
			rest = append(rest, piece...)
			if errors.Is(err, io.EOF) {
				return rest, nil
			}
			continue
		}
		if err != nil {
			return rest, err
		}
		line := piece
		if len(rest) > 0 {
			line = append(rest, piece...)
		}
		if err := c.write(line[:len(line)-1]); err != nil {
			return nil, err
		}
		rest = rest[:0]
	}
}

func (c *copier) write(line []byte) error {
	e, err := parse(line)
	if err != nil {
		return err
	}
	if e.time.Before(c.options.Since) {
		return nil
	}
	var text []byte
	if c.options.Timestamps && !c.midLine {
		text = append(append(text, e.stamp...), ' ')
	}
	text = append(text, e.text...)
	if !e.partial {
		text = append(text, '\n')
	}
	c.midLine = e.partial
	limited := false
	if c.options.Limit > 0 && c.written+int64(len(text)) >= c.options.Limit {
		text, limited = text[:c.options.Limit-c.written], true
	}
	c.written += int64(len(text))
	if _, err := c.out.Write(text); err != nil {
		return err
	}
	if limited {
		return errLimit
	}
	return nil
}

// openReplacement opens the file at path if it is no longer the one that is open.
func openReplacement(path string, open *os.File) (*os.File, error) {
	there, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // between two files, or removed
	}
	if err != nil {
		return nil, err
	}
	ours, err := open.Stat()
	if err != nil {
		return nil, err
	}
	if os.SameFile(there, ours) {
		return nil, nil
	}
	return os.Open(path)
}

// tailOffset is where the last lines of the file begin.
func tailOffset(file *os.File, lines int64) (int64, error) {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil || lines == 0 {
		return size, err
	}
	const block = 32 << 10
	buffer := make([]byte, block)
	found := int64(0)
	for end := size; end > 0; {
		start := max(0, end-block)
		n, err := file.ReadAt(buffer[:end-start], start)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := n - 1; i >= 0; i-- {
			// The newline at the very end closes the last line.
			if buffer[i] != '\n' || start+int64(i) == size-1 {
				continue
			}
			if found++; found == lines {
				return start + int64(i) + 1, nil
			}
		}
		end = start
	}
	return 0, nil
}

// Tail is the end of a log as text: at most so many lines and bytes.
func Tail(path string, lines int64, limit int) (string, error) {
	var out strings.Builder
	if err := Copy(context.Background(), path, Options{Tail: lines}, &out, func() bool { return true }); err != nil {
		return "", err
	}
	text := out.String()
	if len(text) > limit {
		text = text[len(text)-limit:]
	}
	return text, nil
}
