package e2e

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/tombolo-project/tombolo/e2e/harness"
)

// await waits until a pod is as check wants it. The pod then has a status of its
// containers at least.
func await(t *testing.T, d *harness.Datacenter, name string, check func(corev1.Pod) error) {
	t.Helper()
	harness.Eventually(t, 2*time.Minute, "pod "+name, func() error {
		p := d.Pod(t, name)
		if len(p.Status.ContainerStatuses) == 0 {
			return expect(false, p)
		}
		return check(p)
	})
}

// expect turns a check that failed into an error that shows the pod's status.
func expect(ok bool, p corev1.Pod) error {
	if ok {
		return nil
	}
	data, err := json.Marshal(p.Status)
	if err != nil {
		return err
	}
	return errors.New(string(data))
}

// ended returns how the pod's first container ended, or nothing if it has not.
func ended(p corev1.Pod) corev1.ContainerStateTerminated {
	if state := p.Status.ContainerStatuses[0].State.Terminated; state != nil {
		return *state
	}
	return corev1.ContainerStateTerminated{}
}
