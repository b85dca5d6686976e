package marathon

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// maxProbes limits the health checks that are made at one time; more wait their turn.
const maxProbes = 128

// prober makes health checks over the network and reports what came of them.
type prober struct {
	http   *http.Client
	dialer net.Dialer
	slots  chan struct{}
	report func(Probed)
}

func newProber(report func(Probed)) *prober {
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // a check asks whether it answers, not who (as Marathon)
	}
	return &prober{
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
		slots:  make(chan struct{}, maxProbes),
		report: report,
	}
}

// start makes one check in the background.
func (p *prober) start(ctx context.Context, probe Probe) {
	go func() {
		select {
		case p.slots <- struct{}{}:
			defer func() { <-p.slots }()
		case <-ctx.Done():
			return
		}
		cause := p.check(ctx, probe)
		if ctx.Err() == nil {
			p.report(Probed{Instance: probe.Instance, Check: probe.Check, Cause: cause})
		}
	}()
}

// check returns "" when the check passes, else why not. HTTP passes with a status from 200 to 399.
func (p *prober) check(ctx context.Context, probe Probe) string {
	ctx, cancel := context.WithTimeout(ctx, probe.Timeout)
	defer cancel()
	if probe.Protocol == "TCP" {
		conn, err := p.dialer.DialContext(ctx, "tcp", probe.Address)
		if err != nil {
			return err.Error()
		}
		conn.Close()
		return ""
	}
	path := "/" + strings.TrimPrefix(probe.Path, "/")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.ToLower(probe.Protocol)+"://"+probe.Address+path, nil)
	if err != nil {
		return err.Error()
	}
	response, err := p.http.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) //nolint:errcheck // the status is what counts
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return fmt.Sprintf("%s answers %s", request.URL, response.Status)
	}
	return ""
}
