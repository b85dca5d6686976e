package constraints

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"unicode/utf8"
)

// Limits bound what a framework's patterns may cost, as Mesos's flags
// --offer_constraints_re2_max_mem and --offer_constraints_re2_max_program_size do.
type Limits struct {
	MaxMem         int // bytes
	MaxProgramSize int // instructions
}

// DefaultLimits are Mesos's.
var DefaultLimits = Limits{MaxMem: 4096, MaxProgramSize: 100}

// What RE2 makes of a limit of its memory: two thirds are for the program, which has a
// head of this size and may have a fourth of the rest in instructions of 8 bytes.
const (
	programHead     = 432
	instructionSize = 8
)

// maxInstructions is how large RE2 lets a program of bytes become.
func (l Limits) maxInstructions() int {
	return max(0, (l.MaxMem*2/3-programHead)/4/instructionSize)
}

// compileRegex returns a function that says whether a pattern matches a whole text.
//
// Go's regular expressions are RE2's. What differs is the form of the program that the
// limits are about: RE2's is of bytes, Go's of runes, so its size in bytes is counted.
func compileRegex(pattern string, limits Limits) (func(string) bool, error) {
	if len(pattern) > limits.MaxMem { // no program of it could be small enough
		return nil, fmt.Errorf("Failed to construct regex from pattern of %d bytes: pattern too large - compile failed", len(pattern)) //nolint:staticcheck // Mesos's text
	}
	if _, err := syntax.Parse(pattern, syntax.Perl); err != nil {
		return nil, fmt.Errorf("Failed to construct regex from pattern '%s': %w", pattern, err) //nolint:staticcheck // Mesos's text
	}
	whole, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("Failed to construct regex from pattern '%s': %w", pattern, err) //nolint:staticcheck // Mesos's text
	}
	size, err := programSize(pattern)
	if err != nil {
		return nil, fmt.Errorf("Failed to construct regex from pattern '%s': %w", pattern, err) //nolint:staticcheck // Mesos's text
	}
	if size > limits.maxInstructions() {
		return nil, fmt.Errorf("Failed to construct regex from pattern '%s': pattern too large - compile failed", pattern) //nolint:staticcheck // Mesos's text
	}
	if size > limits.MaxProgramSize {
		return nil, fmt.Errorf("Regex '%s' is too complex: program size of %d is larger than maximum of %d allowed", pattern, size, limits.MaxProgramSize) //nolint:staticcheck // Mesos's text
	}
	return whole.MatchString, nil
}

// programSize counts the instructions of a pattern's program in bytes of UTF-8.
func programSize(pattern string) (int, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	size := 0
	for i := range program.Inst {
		size += bytesOf(&program.Inst[i])
	}
	return size, nil
}

// anyRune is what RE2 needs for any character: one byte, or one of three heads of
// longer sequences with the bytes that follow them.
const anyRune = 7

func bytesOf(i *syntax.Inst) int {
	switch i.Op {
	case syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return anyRune
	case syntax.InstRune1:
		return utf8.RuneLen(i.Rune[0])
	case syntax.InstRune:
		if len(i.Rune) == 1 {
			return utf8.RuneLen(i.Rune[0])
		}
		n := 0
		for j := 0; j+1 < len(i.Rune); j += 2 {
			n += max(1, utf8.RuneLen(i.Rune[j+1]))
		}
		return n
	default:
		return 1
	}
}
