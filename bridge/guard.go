package bridge

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
)

// Times that answers of the API server are kept, as a kubelet keeps them.
const (
	tokenTTL      = 2 * time.Minute
	allowTTL      = 5 * time.Minute
	denyTTL       = 30 * time.Second
	reviewTimeout = 10 * time.Second
)

// guard asks who calls the kubelet API and whether they may. All nodes share one, and so its caches.
type guard struct {
	authenticate authenticator.Request
	authorize    authorizer.Authorizer
	log          *slog.Logger
}

// newGuard lets in client certificates of the authority in the file (empty: none), and tokens that the API server
// vouches for.
func newGuard(client kubernetes.Interface, clientCAFile string, log *slog.Logger) (*guard, error) {
	backoff := &wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 5}
	authentication := authenticatorfactory.DelegatingAuthenticatorConfig{
		TokenAccessReviewClient:  client.AuthenticationV1(),
		TokenAccessReviewTimeout: reviewTimeout,
		WebhookRetryBackoff:      backoff,
		CacheTTL:                 tokenTTL,
	}
	if clientCAFile != "" {
		provider, err := dynamiccertificates.NewDynamicCAContentFromFile("kubelet-client-ca", clientCAFile)
		if err != nil {
			return nil, fmt.Errorf("read --client-ca-file: %w", err)
		}
		authentication.ClientCertificateCAContentProvider = provider
	}
	authenticate, _, err := authentication.New()
	if err != nil {
		return nil, fmt.Errorf("set up authentication of the kubelet API: %w", err)
	}
	authorize, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: client.AuthorizationV1(),
		AllowCacheTTL:             allowTTL,
		DenyCacheTTL:              denyTTL,
		WebhookRetryBackoff:       backoff,
	}.New()
	if err != nil {
		return nil, fmt.Errorf("set up authorization of the kubelet API: %w", err)
	}
	return &guard{authenticate: authenticate, authorize: authorize, log: log}, nil
}

// protect puts the guard in front of a node's handler.
func (g *guard) protect(node string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok, err := g.authenticate.AuthenticateRequest(r)
		if err != nil || !ok {
			g.log.Debug("kubelet API: caller not known", "node", node, "path", r.URL.Path, "error", err)
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		verb, subresource := accessOf(r)
		decision, reason, err := g.authorize.Authorize(r.Context(), authorizer.AttributesRecord{
			User: who.User, Verb: verb, APIVersion: "v1", Resource: "nodes", Subresource: subresource, Name: node,
			ResourceRequest: true, Path: r.URL.Path,
		})
		if err != nil {
			g.log.Warn("kubelet API: the API server did not say whether the caller may", "node", node, "error", err)
			http.Error(w, "authorization is not available", http.StatusInternalServerError)
			return
		}
		if decision != authorizer.DecisionAllow {
			message := fmt.Sprintf("Forbidden (user=%s, verb=%s, resource=nodes, subresource=%s) %s", who.User.GetName(), verb, subresource, reason)
			http.Error(w, strings.TrimSpace(message), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// accessOf is the access to the node that a request needs, as a kubelet maps it.
func accessOf(r *http.Request) (verb, subresource string) {
	switch r.Method {
	case http.MethodPost:
		verb = "create"
	case http.MethodPut:
		verb = "update"
	case http.MethodPatch:
		verb = "patch"
	case http.MethodDelete:
		verb = "delete"
	default:
		verb = "get"
	}
	under := func(root string) bool { return r.URL.Path == root || strings.HasPrefix(r.URL.Path, root+"/") }
	switch {
	case under("/stats"):
		return verb, "stats"
	case under("/metrics"):
		return verb, "metrics"
	case under("/logs"):
		return verb, "log"
	}
	return verb, "proxy" // pods, containerLogs, exec, attach, portForward, healthz
}
