package marathon

import (
	"fmt"
	"strconv"
)

// Kind classifies refusals; server.go maps it to an HTTP status.
type Kind int

// The kinds of refusals.
const (
	Malformed Kind = iota // not JSON: 400
	NotFound              // 404
	Conflict              // 409
	Invalid               // 422
)

// Error is a refusal in Marathon's form: {"message": ..., "details": ...}.
type Error struct {
	Kind        Kind           `json:"-"`
	Message     string         `json:"message"`
	Details     any            `json:"details,omitempty"`
	Deployments []Identifiable `json:"deployments,omitempty"`
}

func (e *Error) Error() string {
	if e.Details == nil {
		return e.Message
	}
	return fmt.Sprintf("%s: %v", e.Message, e.Details)
}

// Identifiable is {"id": ...}.
type Identifiable struct {
	ID string `json:"id"`
}

// Violation is what is wrong at one place of a definition.
type Violation struct {
	Path   string   `json:"path"`
	Errors []string `json:"errors"`
}

type violations []Violation

func (v *violations) add(path, problem string) {
	for i := range *v {
		if (*v)[i].Path == path {
			(*v)[i].Errors = append((*v)[i].Errors, problem)
			return
		}
	}
	*v = append(*v, Violation{Path: path, Errors: []string{problem}})
}

func (v *violations) between(path string, value, least, most float64) {
	if value >= least && value <= most {
		return
	}
	text := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	v.add(path, fmt.Sprintf("must be from %s to %s, not %s", text(least), text(most), text(value)))
}

func (v violations) err() error {
	if len(v) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Message: "Object is not valid", Details: []Violation(v)}
}

func invalid(path, problem string) error {
	return violations{{Path: path, Errors: []string{problem}}}.err()
}

func notFound(format string, args ...any) error {
	return &Error{Kind: NotFound, Message: fmt.Sprintf(format, args...)}
}

// locked is Marathon's answer to a change of an app that is being deployed; client tools match the text.
func locked(ids []string) error {
	e := &Error{Kind: Conflict, Message: "App is locked by one or more deployments. Override with the option '?force=true'. " +
		"View details at '/v2/deployments/<DEPLOYMENT_ID>'."}
	for _, id := range ids {
		e.Deployments = append(e.Deployments, Identifiable{id})
	}
	return e
}
