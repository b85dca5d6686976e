// Package duration reads and writes durations as Mesos does in flags, environment
// variables and messages: "90secs", "15mins". Start reading at Parse.
package duration

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// units, largest first.
var units = []struct {
	name string
	size time.Duration
}{
	{"weeks", 7 * 24 * time.Hour}, {"days", 24 * time.Hour}, {"hrs", time.Hour}, {"mins", time.Minute},
	{"secs", time.Second}, {"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", time.Nanosecond},
}

// Format writes a duration in the largest unit that gives a whole number.
func Format(d time.Duration) string {
	for _, u := range units {
		if d != 0 && d%u.size == 0 {
			return fmt.Sprintf("%d%s", d/u.size, u.name)
		}
	}
	return "0ns"
}

// Parse reads what Format writes, fractions ("1.5mins") and Go's own form ("1m30s").
func Parse(text string) (time.Duration, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err == nil && n >= 0 && n*float64(u.size) < math.MaxInt64 {
			return time.Duration(n * float64(u.size)), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%q is not a duration such as 10secs, 5mins or 1hrs", text)
}

// Flag is a command line flag in this form (pflag.Value).
type Flag time.Duration

// String writes the value.
func (f *Flag) String() string { return Format(time.Duration(*f)) }

// Set reads the value.
func (f *Flag) Set(text string) error {
	d, err := Parse(text)
	if err == nil {
		*f = Flag(d)
	}
	return err
}

// Type names the kind of value in help texts.
func (f *Flag) Type() string { return "duration" }
