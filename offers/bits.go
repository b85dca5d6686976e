package offers

import (
	"cmp"
	"slices"
)

// bits is a set of small numbers.
type bits []uint64

func (b *bits) add(i int) {
	for len(*b) <= i>>6 {
		*b = append(*b, 0)
	}
	(*b)[i>>6] |= 1 << (i & 63)
}

// unite adds what is in o.
func (b *bits) unite(o bits) {
	for len(*b) < len(o) {
		*b = append(*b, 0)
	}
	for i, word := range o {
		(*b)[i] |= word
	}
}

func (b bits) remove(i int) {
	if i>>6 < len(b) {
		b[i>>6] &^= 1 << (i & 63)
	}
}

func (b bits) has(i int) bool { return i>>6 < len(b) && b[i>>6]&(1<<(i&63)) != 0 }

// without writes b minus o to out, which is as long as b, and reports whether anything is left.
func (b bits) without(o, out bits) bool {
	var any uint64
	for i, word := range b {
		if i < len(o) {
			word &^= o[i]
		}
		out[i] = word
		any |= word
	}
	return any != 0
}

// withoutUnless takes o from b, but for what is in keep, and reports whether anything is left.
func (b bits) withoutUnless(o, keep bits) bool {
	var any uint64
	for i := range b {
		if i < len(o) {
			drop := o[i]
			if i < len(keep) {
				drop &^= keep[i]
			}
			b[i] &^= drop
		}
		any |= b[i]
	}
	return any != 0
}

// keep takes from b what is not in o.
func (b bits) keep(o bits) {
	for i := range b {
		if i < len(o) {
			b[i] &= o[i]
		} else {
			b[i] = 0
		}
	}
}

func compareStrings(a, b string) int { return cmp.Compare(a, b) }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// dice is a small generator of pseudo-random numbers (splitmix64): the same seed gives the same numbers for ever.
type dice uint64

func (d *dice) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float is a number from 0 up to, but not, 1.
func (d *dice) float() float64 { return float64(d.next()>>11) / (1 << 53) }

// shuffle puts the list in an order that depends on the seed alone.
func shuffle[T any](list []T, seed uint64) {
	d := dice(seed)
	for i := len(list) - 1; i > 0; i-- {
		j := int(d.next() % uint64(i+1))
		list[i], list[j] = list[j], list[i]
	}
}
