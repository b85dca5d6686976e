package offers

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Amount is a quantity of a scalar resource in thousandths of its unit: 1500 is 1.5 cpus, 1.5 MB of mem. Mesos keeps
// three decimals (reference row ALC-09); sums and differences of Amounts are exact.
type Amount int64

// Unit is one whole of a scalar resource: one cpu, one megabyte.
const Unit Amount = 1000

// maxAmount bounds what the wire may say, so that the sum of a whole datacenter can't overflow: 10^12 units.
const maxAmount = 1e12

// AmountOf rounds a wire double to the nearest thousandth, halves away from zero. It fails for NaN, infinities,
// negative values and values above 10^12.
func AmountOf(value float64) (Amount, error) {
	if math.IsNaN(value) || value < 0 || value > maxAmount {
		return 0, fmt.Errorf("amount %v is not between 0 and 10^12", value)
	}
	return Amount(math.Round(value * float64(Unit))), nil
}

// Float is the amount as the wire's double. The fraction is divided on its own, as Mesos does, so that clients see the
// same digits.
func (a Amount) Float() float64 {
	return float64(a/Unit) + float64(a%Unit)/float64(Unit)
}

// String is the shortest decimal form: "4", "0.5", "1.125".
func (a Amount) String() string {
	if a%Unit == 0 {
		return strconv.FormatInt(int64(a/Unit), 10)
	}
	sign := ""
	if a < 0 {
		sign, a = "-", -a
	}
	return sign + strings.TrimRight(fmt.Sprintf("%d.%03d", a/Unit, a%Unit), "0")
}
