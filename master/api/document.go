package api

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// piece is a part of a document. It never changes, and the documents of several
// moments share those that stayed the same.
type piece struct {
	text []byte

	once   sync.Once // guards the making of zipped
	zipped []byte
}

// minDeflated is the size of the smallest piece, in bytes, that is compressed.
const minDeflated = 512

// deflaters are reused: each holds some hundred KiB.
var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// deflated is the piece as a part of a deflate stream that ends on a byte and refers to
// nothing before it, so that such parts can be strung together.
func (p *piece) deflated() []byte {
	p.once.Do(func() {
		if len(p.text) < minDeflated {
			p.zipped = stored(p.text)
			return
		}
		var buffer bytes.Buffer
		w := deflaters.Get().(*flate.Writer)
		w.Reset(&buffer)
		_, err := w.Write(p.text)
		if err == nil {
			err = w.Flush()
		}
		if err != nil {
			panic(err) // memory takes everything
		}
		deflaters.Put(w)
		p.zipped = buffer.Bytes()
	})
	return p.zipped
}

// stored is text of less than 64 KiB as a block of a deflate stream that is not compressed.
func stored(text []byte) []byte {
	block := make([]byte, 5, 5+len(text))
	binary.LittleEndian.PutUint16(block[1:], uint16(len(text)))
	binary.LittleEndian.PutUint16(block[3:], ^uint16(len(text)))
	return append(block, text...)
}

// The frame of a gzip stream: a header that says nothing of the file, and the empty last block.
var (
	gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255}
	lastBlock  = []byte{1, 0, 0, 255, 255}
)

// document is a rendered answer, in pieces. It never changes and may be sent to many at once.
type document struct {
	pieces []*piece
	size   int // bytes

	once  sync.Once // guards the making of the two below
	frame []byte    // what comes after the pieces of the gzip stream
	small int       // bytes of the gzip stream
}

// gzipped makes the document's gzip form and returns its size in bytes.
func (d *document) gzipped() int {
	d.once.Do(func() {
		sum, size := uint32(0), len(gzipHeader)
		for _, p := range d.pieces {
			size += len(p.deflated())
			sum = crc32.Update(sum, crc32.IEEETable, p.text)
		}
		frame := bytes.Clone(lastBlock)
		frame = binary.LittleEndian.AppendUint32(frame, sum)
		d.frame = binary.LittleEndian.AppendUint32(frame, uint32(d.size))
		d.small = size + len(d.frame)
	})
	return d.small
}

// sendBuffer gathers small pieces; large ones pass it by.
const sendBuffer = 32 << 10

// send answers a request with the document, compressed if the client accepts that.
func (d *document) send(w http.ResponseWriter, r *http.Request, media string) error {
	header := w.Header()
	header.Set("Content-Type", media)
	zip := d.size >= minZipped && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
	size := d.size
	if zip {
		header.Set("Content-Encoding", "gzip")
		size = d.gzipped()
	}
	header.Set("Content-Length", strconv.Itoa(size))
	if r.Method == http.MethodHead {
		return nil
	}
	out := bufio.NewWriterSize(w, min(sendBuffer, size+1))
	if zip {
		if err := d.writeZipped(out); err != nil {
			return err
		}
		return out.Flush()
	}
	if _, err := d.WriteTo(out); err != nil {
		return err
	}
	return out.Flush()
}

func (d *document) writeZipped(out io.Writer) error {
	if _, err := out.Write(gzipHeader); err != nil {
		return err
	}
	for _, p := range d.pieces {
		if _, err := out.Write(p.deflated()); err != nil {
			return err
		}
	}
	_, err := out.Write(d.frame)
	return err
}

// WriteTo implements io.WriterTo.
func (d *document) WriteTo(out io.Writer) (int64, error) {
	sent := int64(0)
	for _, p := range d.pieces {
		n, err := out.Write(p.text)
		sent += int64(n)
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// bytes is the whole document as one.
func (d *document) bytes() []byte {
	all := make([]byte, 0, d.size)
	for _, p := range d.pieces {
		all = append(all, p.text...)
	}
	return all
}

// maxLiteral is the size, in bytes, at which text between pieces becomes one of its own.
const maxLiteral = 32 << 10

// builder puts a document together: text that is written, and pieces that are there.
type builder struct {
	text
	doc document
}

// flush makes a piece of the text written so far.
func (b *builder) flush() {
	if len(b.text) > 0 {
		b.keep(&piece{text: b.text})
		b.text = nil
	}
}

func (b *builder) keep(p *piece) {
	b.doc.pieces = append(b.doc.pieces, p)
	b.doc.size += len(p.text)
}

// add puts in pieces, with commas between them.
func (b *builder) add(pieces []*piece) {
	for i, p := range pieces {
		if i > 0 {
			b.text = append(b.text, ',')
		}
		b.splice(p)
	}
}

// splice puts in one piece.
func (b *builder) splice(p *piece) {
	b.flush()
	b.keep(p)
}

// include puts in a whole document.
func (b *builder) include(d *document) {
	for _, p := range d.pieces {
		b.splice(p)
	}
}

// done returns the document.
func (b *builder) done() *document {
	b.flush()
	return &b.doc
}
