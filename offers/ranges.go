package offers

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Range is the whole numbers from Begin to End, both included.
type Range struct{ Begin, End uint64 }

// Ranges is a set of whole numbers as sorted, disjoint, non-adjacent ranges. It is never changed in place.
type Ranges []Range

// rangesOf sorts and merges; ranges that end before they begin are the caller's error to have caught.
func rangesOf(list []Range) Ranges {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b Range) int { return cmp.Compare(a.Begin, b.Begin) })
	var out Ranges
	for _, r := range sorted {
		last := len(out) - 1
		if last >= 0 && (out[last].End == math.MaxUint64 || r.Begin <= out[last].End+1) {
			out[last].End = max(out[last].End, r.End)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Plus is the union.
func (r Ranges) Plus(o Ranges) Ranges {
	if len(r) == 0 {
		return o
	}
	if len(o) == 0 {
		return r
	}
	return rangesOf(slices.Concat(r, o))
}

// Minus is what is in r and not in o.
func (r Ranges) Minus(o Ranges) Ranges {
	if len(o) == 0 {
		return r
	}
	var out Ranges
	next := 0
	for _, piece := range r {
		for next < len(o) && o[next].End < piece.Begin {
			next++
		}
		begin, open := piece.Begin, true
		for i := next; i < len(o) && o[i].Begin <= piece.End; i++ {
			if o[i].Begin > begin {
				out = append(out, Range{begin, o[i].Begin - 1})
			}
			if o[i].End >= piece.End {
				open = false
				break
			}
			begin = o[i].End + 1
		}
		if open {
			out = append(out, Range{begin, piece.End})
		}
	}
	return out
}

// Contains reports whether every number of o is in r.
func (r Ranges) Contains(o Ranges) bool {
	i := 0
	for _, piece := range o {
		for i < len(r) && r[i].End < piece.Begin {
			i++
		}
		if i == len(r) || r[i].Begin > piece.Begin || r[i].End < piece.End {
			return false
		}
	}
	return true
}

// Equal reports whether both hold the same numbers.
func (r Ranges) Equal(o Ranges) bool { return slices.Equal(r, o) }

// Count is how many numbers there are (2^64-1 if more).
func (r Ranges) Count() uint64 {
	var n uint64
	for _, piece := range r {
		size := piece.End - piece.Begin
		if size == math.MaxUint64 || n+size+1 < n {
			return math.MaxUint64
		}
		n += size + 1
	}
	return n
}

// String is Mesos's text form: "[1-10, 20-30]".
func (r Ranges) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, piece := range r {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.FormatUint(piece.Begin, 10))
		b.WriteByte('-')
		b.WriteString(strconv.FormatUint(piece.End, 10))
	}
	b.WriteByte(']')
	return b.String()
}
