package agent_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

func reservedDisk(v float64) mesos.Resource {
	role := "r"
	r := scalar("disk", v)
	r.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
	r.Reservations = []mesos.Resource_ReservationInfo{{Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: &role}}
	return r
}

func persistent(id string, v float64) mesos.Resource {
	r := reservedDisk(v)
	r.Disk = &mesos.Resource_DiskInfo{Persistence: &mesos.Resource_DiskInfo_Persistence{ID: id}, Volume: &mesos.Volume{ContainerPath: "deep/data", Mode: mesos.RW.Enum()}}
	return r
}

// operation is the n-th order of a framework.
func operation(n int, op mesos.Offer_Operation) *messages.ApplyOperationMessage {
	op.ID = &mesos.OperationID{Value: fmt.Sprint("op", n)}
	return &messages.ApplyOperationMessage{FrameworkID: &mesos.FrameworkID{Value: "f1"}, OperationInfo: op, OperationUUID: mesos.UUID{Value: []byte(fmt.Sprintf("%016d", n))},
		ResourceVersionUUID: messages.ResourceVersionUUID{UUID: mesos.UUID{Value: []byte("0123456789abcdef")}}}
}

// finished counts the operations whose end was told.
func finished(all []proto.Message) map[string]bool {
	done := map[string]bool{}
	for _, m := range all {
		if u, ok := m.(*messages.UpdateOperationStatusMessage); ok && u.Status.State == mesos.OPERATION_FINISHED {
			done[u.Status.OperationID.GetValue()] = true
		}
	}
	return done
}

// onVolume is a task that uses volume v1, which every user may write after root made it.
func onVolume(id, user, command string) *messages.RunTaskMessage {
	m := commandTask(id, command)
	m.Framework.User = user
	m.Task.Resources = append(m.Task.Resources, persistent("v1", 64))
	return m
}

// Reservations, volumes and what is in them outlive a kill -9 of the agent at any moment, and go when they are destroyed.
func TestRCV01_VolumesOutliveTheAgent(t *testing.T) {
	m := newFakeMaster(t)
	a := startAgent(t, m)
	dir, err := binaries()
	for _, d := range []string{dir, filepath.Join(a.dir, "work")} { // other users must get to the executor and the sandbox
		if err != nil || os.Chmod(d, 0o755) != nil {
			t.Fatalf("%s can't be opened to all users", d)
		}
	}
	m.await("registration", registered)
	m.order(operation(1, mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Resources: []mesos.Resource{reservedDisk(128)}}}))
	m.order(operation(2, mesos.Offer_Operation{Type: mesos.Offer_Operation_CREATE, Create: &mesos.Offer_Operation_Create{Volumes: []mesos.Resource{persistent("v1", 64)}}}))
	m.await("both operations", func(all []proto.Message) bool { return len(finished(all)) == 2 })
	m.order(onVolume("writer", "nobody", "echo $(id -un) > deep/data/file"))
	m.awaitStates("writer", "STARTING", "RUNNING", "FINISHED")
	volume := filepath.Join(a.dir, "work", "volumes", "roles", "r", "v1")
	if got, err := os.ReadFile(filepath.Join(volume, "file")); err != nil || strings.TrimSpace(string(got)) != "nobody" {
		t.Fatalf("the volume has %q, %v", got, err)
	}
	a.kill()
	before := 0
	m.await("", func(all []proto.Message) bool { before = count[*messages.ReregisterSlaveMessage](all); return true })
	a.start()
	m.await("re-registration with all it keeps", func(all []proto.Message) bool {
		if count[*messages.ReregisterSlaveMessage](all) == before {
			return false
		}
		for i := len(all) - 1; i >= 0; i-- {
			if r, ok := all[i].(*messages.ReregisterSlaveMessage); ok {
				return len(r.CheckpointedResources) == 2
			}
		}
		return false
	})
	m.await("report of the operations that nobody acknowledged", func(all []proto.Message) bool {
		u, ok := all[len(all)-1].(*messages.UpdateSlaveMessage)
		for i := len(all) - 1; !ok && i >= 0; i-- {
			u, ok = all[i].(*messages.UpdateSlaveMessage)
		}
		return ok && len(u.Operations.Operations) == 2
	})
	if !strings.Contains(a.get("/state"), `"deep/data"`) {
		t.Error("the agent does not show its volume")
	}
	m.order(onVolume("reader", "root", "test -s deep/data/file && rm deep/data/file"))
	m.awaitStates("reader", "STARTING", "RUNNING", "FINISHED")
	m.order(operation(3, mesos.Offer_Operation{Type: mesos.Offer_Operation_DESTROY, Destroy: &mesos.Offer_Operation_Destroy{Volumes: []mesos.Resource{persistent("v1", 64)}}}))
	m.await("destruction", func(all []proto.Message) bool { return finished(all)["op3"] })
	if _, err := os.Stat(volume); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the volume is still there: %v", err)
	}
	a.ended()
}

// The agent is killed while orders come in. What it told is there after the restart, and what it did not tell is whole or not there.
func TestRCV01_KilledWhileOperationsComeIn(t *testing.T) {
	m := newFakeMaster(t)
	a := startAgent(t, m)
	m.await("registration", registered)
	m.order(operation(1, mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Resources: []mesos.Resource{reservedDisk(1000)}}}))
	m.await("the reservation", func(all []proto.Message) bool { return finished(all)["op1"] })
	n := 1
	for range crashRounds(t) {
		for range 10 {
			n++
			m.order(operation(n, mesos.Offer_Operation{Type: mesos.Offer_Operation_CREATE, Create: &mesos.Offer_Operation_Create{Volumes: []mesos.Resource{persistent(fmt.Sprint("v", n), 1)}}}))
		}
		want := n - 5
		m.await("some of the operations", func(all []proto.Message) bool { return len(finished(all)) >= want-4 })
		a.kill()
		var told map[string]bool
		before := 0
		m.await("", func(all []proto.Message) bool {
			told, before = finished(all), count[*messages.ReregisterSlaveMessage](all)
			return true
		})
		a.start()
		m.await("re-registration", func(all []proto.Message) bool { return count[*messages.ReregisterSlaveMessage](all) > before })
		m.await("", func(all []proto.Message) bool { checkKept(t, a, all, told); return true })
		m.await("a later report", func(all []proto.Message) bool {
			_, ok := all[len(all)-1].(*messages.UpdateOperationStatusMessage)
			return ok
		})
	}
}

// checkKept compares what the agent registered with to what it told before, and to its disk.
func checkKept(t *testing.T, a *agentProcess, all []proto.Message, told map[string]bool) {
	t.Helper()
	var last *messages.ReregisterSlaveMessage
	for _, m := range all {
		if r, ok := m.(*messages.ReregisterSlaveMessage); ok {
			last = r
		}
	}
	kept, size := map[string]bool{}, 0.0
	for _, r := range last.CheckpointedResources {
		size += r.Scalar.Value
		if r.Disk != nil {
			kept[strings.TrimPrefix(r.Disk.Persistence.ID, "v")] = true
			if _, err := os.Stat(filepath.Join(a.dir, "work", "volumes", "roles", "r", r.Disk.Persistence.ID)); err != nil {
				t.Errorf("a volume without its directory: %v", err)
			}
		}
	}
	if size != 1000 {
		t.Errorf("%v of 1000 MB are reserved", size)
	}
	for op := range told {
		if n := strings.TrimPrefix(op, "op"); n != "1" && !kept[n] {
			t.Errorf("%s was told to be finished and is lost", op)
		}
	}
}
