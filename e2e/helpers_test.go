package e2e

import (
	"fmt"
	"strings"

	"github.com/tombolo-project/tombolo/e2e/harness"
)

// finished tells whether the frameworks called prefix* have n finished tasks.
func finished(master, prefix string, n int) error {
	s, err := harness.StateOf(master)
	if err != nil {
		return err
	}
	count := 0
	states := map[string]int{}
	for _, f := range append(s.Frameworks, s.CompletedFramework...) {
		if !strings.HasPrefix(f.Name, prefix) {
			continue
		}
		for _, task := range append(f.CompletedTasks, f.Tasks...) {
			states[task.State]++
			if task.State == "TASK_FINISHED" {
				count++
			}
		}
	}
	if count != n {
		return fmt.Errorf("%d of %d: %v", count, n, states)
	}
	return nil
}

// contains tells whether the answer of a GET has the text in it.
func contains(url, text string) error {
	body, err := harness.Get(url)
	if err != nil {
		return err
	}
	if !strings.Contains(body, text) {
		return fmt.Errorf("%q is not in %s", text, body)
	}
	return nil
}
