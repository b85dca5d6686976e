package e2e

import (
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/tombolo-project/tombolo/e2e/harness"
)

// greedy starts a batch framework in a role of its own with more short tasks than
// the datacenter can hold.
func greedy(t *testing.T, m *harness.Mesos, role string) {
	t.Helper()
	port := strconv.Itoa(harness.FreePort(t, "127.0.0.1"))
	harness.Start(t, m.Dir, "batch-"+role, harness.Bin(t, "tombolo"), "batch", "--master="+m.Addr, "--role="+role,
		"--ip=127.0.0.1", "--port="+port, "--state=file://"+filepath.Join(m.Dir, "state-"+role))
	server := "http://127.0.0.1:" + port
	harness.Eventually(t, 60*time.Second, "the batch framework of "+role+" answers", func() error {
		_, err := harness.Get(server + "/ping")
		return err
	})
	harness.MustRun(t, time.Minute, harness.Bin(t, "tombolo"), "batch", "run", "--server="+server, "--detach",
		"--name=greedy", "--tasks=5000", "--cpus=0.4", "--mem=32", "--", "sh", "-c", "sleep 2")
}

// sharesOf returns each role's part of all CPUs that the roles hold.
func sharesOf(master string, roles []string) (map[string]float64, float64, error) {
	var answer struct {
		Roles []struct {
			Name      string `json:"name"`
			Allocated map[string]any
			Resources map[string]any `json:"resources"`
		} `json:"roles"`
	}
	if err := harness.GetJSON("http://"+master+"/roles", &answer); err != nil {
		return nil, 0, err
	}
	shares, sum := map[string]float64{}, 0.0
	for _, role := range answer.Roles {
		for _, name := range roles {
			if cpus, ok := role.Resources["cpus"].(float64); ok && role.Name == name {
				shares[name] = cpus
				sum += cpus
			}
		}
	}
	for name := range shares {
		shares[name] /= sum
	}
	return shares, sum, nil
}

// averageShares samples the shares over a while: tasks come and go.
func averageShares(t *testing.T, master string, roles []string, samples int) map[string]float64 {
	t.Helper()
	sums := map[string]float64{}
	for range samples {
		shares, _, err := sharesOf(master, roles)
		if err != nil {
			t.Fatal(err)
		}
		for name, share := range shares {
			sums[name] += share / float64(samples)
		}
		time.Sleep(250 * time.Millisecond)
	}
	return sums
}

func near(shares map[string]float64, want map[string]float64) error {
	for role, share := range want {
		if math.Abs(shares[role]-share) > 0.06 {
			return fmt.Errorf("shares are %v, want %v", shares, want)
		}
	}
	return nil
}

// With the datacenter full each of three greedy frameworks holds a third; doubling
// one's weight gives it half.
func TestALC03_DominantResourceFairness(t *testing.T) {
	m := harness.StartMesos(t, 3)
	roles := []string{"red", "green", "blue"}
	for _, role := range roles {
		greedy(t, m, role)
	}
	third := map[string]float64{"red": 1. / 3, "green": 1. / 3, "blue": 1. / 3}
	harness.Eventually(t, 2*time.Minute, "each holds a third", func() error {
		if _, cpus, err := sharesOf(m.Addr, roles); err != nil || cpus < 10 { // of 12
			return fmt.Errorf("%.1f CPUs are held: %v", cpus, err)
		}
		return near(averageShares(t, m.Addr, roles, 12), third)
	})
	status, text, err := harness.Do(http.MethodPut, "http://"+m.Addr+"/weights", `[{"role":"red","weight":2.0}]`)
	if err != nil || status != http.StatusOK {
		t.Fatalf("set the weight: %d %s %v", status, text, err)
	}
	harness.Eventually(t, 2*time.Minute, "red holds a half", func() error {
		return near(averageShares(t, m.Addr, roles, 12), map[string]float64{"red": 0.5, "green": 0.25, "blue": 0.25})
	})
}
