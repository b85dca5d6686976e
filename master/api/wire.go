package api

import "encoding/binary"

// fields calls f with the number and content of each length-delimited field of an
// encoded protocol buffer. The message parsed before, so malformed input just ends it.
func fields(b []byte, f func(number uint64, content []byte)) {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return
		}
		b = b[n:]
		size := uint64(0)
		switch key & 7 {
		case 0:
			if _, n = binary.Uvarint(b); n <= 0 {
				return
			}
			size = uint64(n)
		case 1:
			size = 8
		case 5:
			size = 4
		case 2:
			length, n := binary.Uvarint(b)
			if n <= 0 || length > uint64(len(b)-n) {
				return
			}
			f(key>>3, b[n:n+int(length)])
			size = uint64(n) + length
		default:
			return
		}
		if size > uint64(len(b)) {
			return
		}
		b = b[size:]
	}
}
