package offers

import (
	"flag"
	"os"
	"testing"
)

// TestMain runs 2,000 random cases of each property unless -rapid.checks says otherwise (100,000 for a long look).
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", "2000"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
