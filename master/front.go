package master

import (
	"net/http"
	"sync/atomic"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/api"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
)

// front is the master's one port in each phase of its life: while another leads,
// while it reads the registry, and while it leads.
type front struct {
	elected atomic.Bool
	leader  atomic.Pointer[mesos.MasterInfo] // of the others, as the election tells
	leading atomic.Pointer[reign]
	standby http.Handler
}

// reign is what serves while this master leads.
type reign struct {
	owner *owner
	api   http.Handler
}

// standing is what this master is among the masters.
func (f *front) standing() api.Standing {
	return api.Standing{Elected: f.elected.Load(), Recovered: f.leading.Load() != nil, Leader: f.leader.Load()}
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if now := f.leading.Load(); now != nil {
		now.api.ServeHTTP(w, r)
		return
	}
	f.standby.ServeHTTP(w, r)
}

// deliver takes in a message from the network; before this master leads it is
// dropped, and its sender repeats it (reference 5.3, step 1).
func (f *front) deliver(m libprocess.Message) bool {
	if now := f.leading.Load(); now != nil {
		return now.owner.deliver(m)
	}
	return m.To == masterActor || m.To == observerActor
}
