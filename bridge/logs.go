package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/virtual-kubelet/virtual-kubelet/errdefs"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// serveLogs is /containerLogs/<namespace>/<pod>/<container>. (The library's own can't tell "no lines" from "all lines".)
func (n nodeAPI) serveLogs(w http.ResponseWriter, r *http.Request) {
	request, err := logsRequest(r.URL.Query(), time.Now())
	if err == nil {
		request.Container = r.PathValue("container")
		err = n.copyLogs(r.Context(), r.PathValue("namespace"), r.PathValue("pod"), request, w)
	}
	switch {
	case err == nil:
	case errdefs.IsNotFound(err):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errdefs.IsInvalidInput(err):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// logsRequest reads the options of a kubelet's /containerLogs.
func logsRequest(query url.Values, now time.Time) (*podapi.LogsRequest, error) {
	request := &podapi.LogsRequest{}
	var errs []error
	flag := func(name string, to *bool) {
		if text := query.Get(name); text != "" {
			value, err := strconv.ParseBool(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s=%q is neither true nor false", name, text))
			}
			*to = value
		}
	}
	number := func(name string, least int64) *int64 {
		text := query.Get(name)
		if text == "" {
			return nil
		}
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil || value < least {
			errs = append(errs, fmt.Errorf("%s=%q is not a number from %d up", name, text, least))
		}
		return &value
	}
	flag("follow", &request.Follow)
	flag("previous", &request.Previous)
	flag("timestamps", &request.Timestamps)
	request.TailLines, request.LimitBytes = number("tailLines", 0), number("limitBytes", 1)
	if seconds := number("sinceSeconds", 1); seconds != nil {
		request.Since = now.Add(-time.Duration(*seconds) * time.Second)
	}
	if text := query.Get("sinceTime"); text != "" {
		since, err := time.Parse(time.RFC3339, text)
		if err != nil || !request.Since.IsZero() {
			errs = append(errs, fmt.Errorf("sinceTime=%q is not a time as in RFC 3339, or stands beside sinceSeconds", text))
		}
		request.Since = since
	}
	if stream := query.Get("stream"); stream != "" && stream != "All" {
		errs = append(errs, fmt.Errorf("stream=%q: only both streams together can be had", stream))
	}
	if len(errs) > 0 {
		return nil, errdefs.AsInvalidInput(errors.Join(errs...))
	}
	return request, nil
}

// copyLogs writes a container's log to w; an error comes before anything is written, later ones end it.
func (n nodeAPI) copyLogs(ctx context.Context, namespace, pod string, request *podapi.LogsRequest, w http.ResponseWriter) error {
	client, task, err := n.find(namespace, pod, request.Container)
	if err != nil {
		return err
	}
	request.TaskID = task
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Logs(ctx, request)
	if err != nil {
		return explain(err)
	}
	flush := http.NewResponseController(w)
	for first := true; ; first = false {
		chunk, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && first: // a refusal becomes an HTTP status
			return explain(err)
		case err != nil:
			n.log.Debug("log ended early", "namespace", namespace, "pod", pod, "error", err)
			return nil
		}
		if first {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		if _, err := w.Write(chunk.Data); err != nil {
			return nil //nolint:nilerr // the reader has gone
		}
		if err := flush.Flush(); err != nil {
			return nil //nolint:nilerr // the reader has gone
		}
	}
}
