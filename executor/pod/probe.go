package pod

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
	"github.com/tombolo-project/tombolo/executor/pod/lifecycle"
)

// proberKey is one probe of one instance of a container.
type proberKey struct {
	container, instance string
	kind                lifecycle.ProbeKind
}

// syncProbers starts the probes that the machine wants now and ends all others.
func (w *worker) syncProbers(ctx context.Context) {
	wanted := map[proberKey]bool{}
	pod := w.bundle.Load().Pod
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			container := &list[i]
			for _, kind := range []lifecycle.ProbeKind{lifecycle.Startup, lifecycle.Liveness, lifecycle.Readiness} {
				if w.machine.Ending() != nil || !w.machine.Wanted(container.Name, kind) {
					continue
				}
				instance := w.machine.Current(container.Name)
				key := proberKey{container: container.Name, instance: instance.ID, kind: kind}
				wanted[key] = true
				if w.probers[key] == nil {
					probeCtx, cancel := context.WithCancel(ctx)
					w.probers[key] = cancel
					go w.probe(probeCtx, key, container, instance.StartedAt, w.facts)
				}
			}
		}
	}
	for key, cancel := range w.probers {
		if !wanted[key] {
			cancel()
			delete(w.probers, key)
		}
	}
}

// probe checks a container again and again until ctx ends. The first check comes initialDelaySeconds after its start.
func (w *worker) probe(ctx context.Context, key proberKey, container *corev1.Container, started time.Time, facts criconfig.Facts) {
	spec := key.kind.Probe(container)
	period := seconds(spec.PeriodSeconds, 10)
	timer := time.NewTimer(time.Until(started.Add(time.Duration(spec.InitialDelaySeconds) * time.Second)))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		timer.Reset(period)
		err := w.check(ctx, spec, container, key.instance, facts)
		if ctx.Err() != nil {
			return
		}
		event := evProbed{key: key, success: err == nil}
		if err != nil {
			event.output = err.Error()
		}
		w.send(ctx, event)
	}
}

// check is one attempt of a probe; nil is success.
func (w *worker) check(ctx context.Context, spec *corev1.Probe, container *corev1.Container, instance string, facts criconfig.Facts) error {
	timeout := seconds(spec.TimeoutSeconds, 1)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case spec.Exec != nil:
		return w.execute(ctx, instance, spec.Exec.Command, timeout)
	case spec.HTTPGet != nil:
		return httpCheck(ctx, spec.HTTPGet, container, facts, "kube-probe/1.35")
	case spec.TCPSocket != nil:
		address, err := target(spec.TCPSocket.Host, spec.TCPSocket.Port, container, facts)
		if err != nil {
			return err
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	return errors.New("the probe has no handler that is supported")
}

// execute runs a command in a container and wants it to end with 0 in time.
func (w *worker) execute(ctx context.Context, instance string, command []string, timeout time.Duration) error {
	// The runtime's timeout is in whole seconds; ours on the call is a little longer so that the runtime's answer wins.
	callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout+callTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	defer stop()
	result, err := w.runtime.runtime.ExecSync(callCtx, &cri.ExecSyncRequest{
		ContainerId: instance, Cmd: command, Timeout: int64((timeout + time.Second - 1) / time.Second),
	})
	if err != nil {
		return errors.New(message(err))
	}
	if result.ExitCode != 0 {
		if output := cut(append(result.Stdout, result.Stderr...)); output != "" {
			return errors.New(output) // which is what a kubelet shows
		}
		return fmt.Errorf("command ended with %d", result.ExitCode)
	}
	return nil
}

// httpCheck wants an answer from 200 to 399. Redirects to other hosts count as success, as in a kubelet; certificates are
// not checked.
func httpCheck(ctx context.Context, action *corev1.HTTPGetAction, container *corev1.Container, facts criconfig.Facts, agent string) error {
	address, err := target(action.Host, action.Port, container, facts)
	if err != nil {
		return err
	}
	scheme := strings.ToLower(string(action.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	to, err := url.Parse(action.Path)
	if err != nil {
		return err
	}
	to.Scheme, to.Host = scheme, address
	if !strings.HasPrefix(to.Path, "/") {
		to.Path = "/" + to.Path
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", agent)
	request.Header.Set("Accept", "*/*")
	for _, h := range action.HTTPHeaders {
		if strings.EqualFold(h.Name, "Host") {
			request.Host = h.Value
			continue
		}
		request.Header.Add(h.Name, h.Value)
	}
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // a health check, as in a kubelet
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if next.URL.Hostname() != via[0].URL.Hostname() || len(via) >= 10 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 10<<10))
	if err != nil {
		return err
	}
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return fmt.Errorf("HTTP probe failed with statuscode: %d: %s", response.StatusCode, cut(body))
	}
	return nil
}

// target is the address that a probe or hook dials: the pod's, unless it names a host.
func target(host string, port intstr.IntOrString, container *corev1.Container, facts criconfig.Facts) (string, error) {
	if host == "" {
		if len(facts.Addresses.PodIPs) == 0 {
			return "", errors.New("the pod has no address")
		}
		host = facts.Addresses.PodIPs[0]
	}
	number := port.IntValue()
	if port.Type == intstr.String {
		number = 0
		for _, p := range container.Ports {
			if p.Name == port.StrVal {
				number = int(p.ContainerPort)
			}
		}
		if n, err := strconv.Atoi(port.StrVal); err == nil && number == 0 {
			number = n
		}
	}
	if number < 1 || number > 65535 {
		return "", fmt.Errorf("container %s has no port %q", container.Name, port.String())
	}
	return net.JoinHostPort(host, strconv.Itoa(number)), nil
}

// runHook runs a lifecycle hook.
func (w *worker) runHook(ctx context.Context, hook *corev1.LifecycleHandler, container *corev1.Container, instance string, facts criconfig.Facts) error {
	switch {
	case hook.Exec != nil:
		timeout := 2 * time.Minute
		if deadline, ok := ctx.Deadline(); ok {
			timeout = time.Until(deadline)
		}
		return w.execute(ctx, instance, hook.Exec.Command, timeout)
	case hook.HTTPGet != nil:
		return httpCheck(ctx, hook.HTTPGet, container, facts, "kube-lifecycle/1.35")
	case hook.Sleep != nil:
		select {
		case <-time.After(time.Duration(hook.Sleep.Seconds) * time.Second):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.New("the hook has no handler that is supported")
}

func seconds(n, otherwise int32) time.Duration {
	if n < 1 {
		n = otherwise
	}
	return time.Duration(n) * time.Second
}

// cut keeps the beginning of an output for a message.
func cut(output []byte) string {
	const most = 512
	if len(output) > most {
		output = output[:most]
	}
	return strings.TrimSpace(string(output))
}
