package detect

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// Times of asking a list of masters.
const (
	askTimeout   = 2 * time.Second
	calmInterval = 5 * time.Second        // while a leader is known
	searchPause  = 250 * time.Millisecond // while none is
	hurryTime    = 15 * time.Second       // how long the search stays quick after Hurry
	resolvePause = time.Second
)

// resolveFixed finds the address of the one master.
func (d *Detector) resolveFixed(ctx context.Context, leads func(*mesos.MasterInfo)) {
	for ctx.Err() == nil {
		info, err := at(ctx, d.fixed)
		if err == nil {
			leads(info)
			<-ctx.Done()
			return
		}
		d.log.Warn("the master's name is not known", "master", d.fixed, "error", err)
		sleep(ctx, resolvePause, nil)
	}
}

// poll asks the masters of a list, in random order, until one of them knows who
// leads; then again now and then, since a leader may be replaced without a sign.
func (d *Detector) poll(ctx context.Context, leads func(*mesos.MasterInfo)) {
	hc := &http.Client{
		Timeout:       askTimeout,
		Transport:     d.http.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	last, said := "", false
	quickUntil := time.Now().Add(hurryTime)
	for ctx.Err() == nil {
		info := d.askAll(ctx, hc)
		if ctx.Err() != nil {
			return
		}
		if pid := info.GetPID(); !said || pid != last {
			last, said = pid, true
			if info == nil {
				d.log.Warn("no master knows who leads", "masters", d.list)
			}
			leads(info)
		}
		wait := calmInterval/2 + rand.N(calmInterval)
		if info == nil || time.Now().Before(quickUntil) {
			wait = searchPause + rand.N(searchPause)
		}
		if sleep(ctx, wait, d.hurry) {
			quickUntil = time.Now().Add(hurryTime)
		}
	}
}

// askAll returns the leader that the first master who knows names, or nil.
func (d *Detector) askAll(ctx context.Context, hc *http.Client) *mesos.MasterInfo {
	for _, i := range rand.Perm(len(d.list)) {
		info, err := ask(ctx, hc, d.scheme+d.list[i])
		if err == nil {
			return info
		}
		if ctx.Err() != nil {
			return nil
		}
		d.log.Debug("this master does not know who leads", "master", d.list[i], "error", err)
	}
	return nil
}

// ask has one master name the leader, as /redirect does (reference 2.4).
func ask(ctx context.Context, hc *http.Client, master string) (*mesos.MasterInfo, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, master+"/master/redirect", nil)
	if err != nil {
		return nil, err
	}
	answer, err := hc.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, 4<<10)); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusTemporaryRedirect {
		return nil, fmt.Errorf("it answers %s", answer.Status)
	}
	location, err := url.Parse(answer.Header.Get("Location"))
	if err != nil {
		return nil, err
	}
	return at(ctx, location.Host)
}

// sleep waits, at most until ctx ends or the bell rings; it reports whether that rang.
func sleep(ctx context.Context, d time.Duration, bell <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-bell:
		return true
	}
	return false
}
