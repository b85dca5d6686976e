package archtest

// Module is the import path of the project. Paths in the rules below are relative to it.
const Module = "github.com/tombolo-project/tombolo"

// Area is a directory tree of the module and what it may import from the rest of the module.
//
// The most specific area that holds a package decides (longest Dir). A package that no area holds is a violation:
// whoever adds a directory says here where it stands.
type Area struct {
	// Dir is the directory relative to the module ("master/core"); the area holds it and everything below it.
	Dir string
	// May lists the directories this area may import besides itself, each with everything below it.
	May []string
	// Pure areas decide and do not act: see PureForbidden.
	Pure bool
	// Why is the sentence shown when the rule is broken.
	Why string
}

// frameworkMay is what each framework stands on.
var frameworkMay = []string{
	"mesos", "offers", "security", "frameworks/session", "frameworks/store", "frameworks/owner", "frameworks/placement", "frameworks/orders", "frameworks/service",
	"internal/loop", "internal/clock",
}

// Areas is the dependency direction of the project, lowest first. docs/architecture.md draws it.
var Areas = []Area{
	{Dir: "mesos", Why: "mesos is the wire: everything else stands on it, so it knows nothing of the rest"},
	{Dir: "security", May: []string{"mesos"}, Pure: true,
		Why: "security decides who may do what; its packages serve every part and know none"},
	{Dir: "security/authn", May: []string{"mesos", "security", "security/credentials"},
		Why: "security serves every part and knows none"},
	{Dir: "security/credentials", Why: "security serves every part and knows none"},
	{Dir: "security/crammd5", May: []string{"security/credentials"},
		Why: "security serves every part and knows none"},
	{Dir: "security/guard", May: []string{"security", "security/authn", "security/credentials"},
		Why: "security serves every part and knows none"},
	{Dir: "security/transport", May: []string{"security/credentials"},
		Why: "security serves every part and knows none"},
	{Dir: "offers", May: []string{"mesos"}, Pure: true,
		Why: "offers turns a snapshot into a plan; it must run in any test and any part"},

	{Dir: "master/core", May: []string{"mesos", "offers", "security"}, Pure: true,
		Why: "the master's core is a state machine fed by its owner"},
	{Dir: "agent/core", May: []string{"mesos", "offers", "security"}, Pure: true,
		Why: "the agent's core is a state machine fed by its owner"},
	{Dir: "bridge/core", May: []string{"mesos", "offers", "virtualnode"}, Pure: true,
		Why: "the bridge's core is a state machine fed by its owner"},
	{Dir: "virtualnode", May: []string{"mesos", "offers"}, Pure: true,
		Why: "virtualnode maps between the two worlds and talks to neither"},
	{Dir: "virtualnode/podapi", May: []string{"mesos"},
		Why: "podapi is the vocabulary that the bridge and the pod executor share, nothing more"},
	{Dir: "frameworks/session", May: []string{"mesos", "security"},
		Why: "the scheduler session serves every framework and belongs to none"},

	{Dir: "master", May: []string{"mesos", "offers", "security", "internal/loop", "internal/clock"},
		Why: "master, agent and bridge meet on the wire only, so that each can be swapped for Mesos's own"},
	{Dir: "agent", May: []string{"mesos", "offers", "security", "internal/loop", "internal/clock"},
		Why: "master, agent and bridge meet on the wire only, so that each can be swapped for Mesos's own"},
	{Dir: "executor", May: []string{"mesos", "offers", "security", "virtualnode/podapi", "internal/loop", "internal/clock"},
		Why: "an executor sees its agent's executor API, and the pod executor the bridge's channel"},
	{Dir: "executor/pod/lifecycle", Pure: true,
		Why: "a pod's lifecycle is decided from what is seen, and nothing else"},
	{Dir: "bridge", May: []string{"mesos", "offers", "security", "virtualnode", "frameworks/session", "internal/loop", "internal/clock"},
		Why: "master, agent and bridge meet on the wire only, so that the bridge runs on a stock Mesos too"},
	{Dir: "frameworks/store", May: []string{"mesos"},
		Why: "what frameworks share belongs to none of them"},
	{Dir: "frameworks/owner", May: []string{"mesos", "frameworks/store"},
		Why: "what frameworks share belongs to none of them"},
	{Dir: "frameworks/orders", May: []string{"mesos", "frameworks/session"},
		Why: "what frameworks share belongs to none of them"},
	{Dir: "frameworks/service", May: []string{"mesos", "frameworks/session", "frameworks/store", "frameworks/owner", "frameworks/orders"},
		Why: "what frameworks share belongs to none of them"},
	{Dir: "frameworks/frameworktest", May: []string{"mesos", "offers", "frameworks/session", "frameworks/store", "frameworks/owner", "frameworks/placement", "frameworks/orders"},
		Why: "a simulated datacenter for the tests of every framework"},
	{Dir: "frameworks/placement", May: []string{"mesos", "offers"}, Pure: true,
		Why: "what frameworks share belongs to none of them"},
	{Dir: "frameworks/marathon", May: frameworkMay,
		Why: "a framework sees the scheduler API and no other framework"},
	{Dir: "frameworks/batch", May: frameworkMay,
		Why: "a framework sees the scheduler API and no other framework"},

	{Dir: "internal/loop", Why: "internal packages are leaves"},
	{Dir: "internal/clock", Why: "internal packages are leaves"},
	{Dir: "internal/archtest", Why: "internal packages are leaves"},
	{Dir: "internal/sim", May: []string{"mesos", "offers", "master/core", "agent/core", "security"},
		Why: "the simulation lets the real cores meet; the rest of its datacenter is models"},
	{Dir: "internal/image", Why: "the image is made of finished binaries, not of packages"},
	{Dir: "tools", Why: "tools are built for the agents' images or run beside the parts; they link nothing of them"},
	{Dir: "charts", Why: "the chart is made of finished images, not of packages"},
	{Dir: "datacenter", May: []string{"mesos", "offers", "security", "internal"},
		Why: "the datacenter starts the parts as processes of their own, so that each can be killed and started alone"},
	{Dir: "cmd", May: []string{"mesos", "offers", "security", "master", "agent", "executor", "virtualnode", "bridge", "frameworks", "datacenter", "internal"},
		Why: "cmd is the top: it wires the parts, and nothing imports it"},
	{Dir: "e2e", May: []string{"mesos", "offers", "security", "virtualnode/podapi", "frameworks/session", "datacenter", "charts", "internal"},
		Why: "scenarios drive the parts from outside, as users do"},
}

// Forbidden bans an import, inside and outside the standard library, in some areas.
type Forbidden struct {
	// Path is an import path; a trailing "/..." covers everything below it too.
	Path string
	// Transitive also looks at what the package's imports import. Never set for the standard library: fmt itself imports os.
	Transitive bool
	// In lists the areas where the ban holds; empty means everywhere.
	In []string
	// Except lists directories that are free of it.
	Except []string
	// ExceptSuites frees packages whose name ends in "test": suites that several implementations share.
	ExceptSuites bool
	// Why is the sentence shown when the rule is broken.
	Why string
}

// PureForbidden holds for every Pure area.
var PureForbidden = []Forbidden{
	{Path: "os/...", Why: "a pure package does not see files, processes or the environment"},
	{Path: "io/fs", Why: "a pure package does not see files"},
	{Path: "syscall", Why: "a pure package makes no system call"},
	{Path: "golang.org/x/sys/...", Why: "a pure package makes no system call"},
	{Path: "net", Why: "a pure package has no sockets; addresses are net/netip values"},
	{Path: "net/http/...", Why: "a pure package has no sockets"},
	{Path: "net/rpc/...", Why: "a pure package has no sockets"},
	{Path: "crypto/rand", Why: "a pure package is the same on every run: randomness comes in with the event"},
	{Path: "math/rand", Why: "a pure package is the same on every run: randomness comes in with the event"},
	{Path: "log", Except: []string{"tools"}, Why: "a pure package returns what happened; its owner logs it"},
	{Path: "log/...", Why: "a pure package returns what happened; its owner logs it"},
	{Path: "context", Why: "a pure package never waits, so there is nothing to cancel"},
	{Path: "sync", Why: "a pure package has one owner, so there is nothing to lock"},
	{Path: "sync/...", Why: "a pure package has one owner, so there is nothing to lock"},
	{Path: "k8s.io/client-go/...", Transitive: true, Why: "a pure package has no clients"},
	{Path: "github.com/virtual-kubelet/virtual-kubelet/...", Transitive: true, Why: "a pure package has no clients"},
	{Path: "google.golang.org/grpc/...", Transitive: true, Why: "a pure package has no clients"},
	{Path: "go.etcd.io/...", Transitive: true, Why: "a pure package has no clients"},
}

// Banned holds for the areas each entry names.
var Banned = []Forbidden{
	{Path: "log", Except: []string{"tools"}, Why: "log/slog is passed in; the global logger belongs to nobody"},
	{Path: "github.com/mesos/mesos-go/api/v0/...", Transitive: true,
		Why: "it registers global flags that clash with Kubernetes's; the v1 packages have the vocabulary"},
	{Path: "k8s.io/...", Transitive: true, In: []string{"mesos", "offers", "master", "agent", "frameworks", "executor/command"},
		Why: "the datacenter lives without Kubernetes"},
	{Path: "k8s.io/client-go/kubernetes/...", Transitive: true, In: []string{"executor", "virtualnode/podapi"},
		Why: "only the bridge talks to the Kubernetes API; executors use client-go's streaming alone"},
	{Path: "k8s.io/cri-api/...", Except: []string{"executor/pod", "datacenter", "e2e"},
		Why: "only the pod executor drives the container runtime"},
	{Path: "go.etcd.io/etcd/server/v3/...", Except: []string{"master", "frameworks", "datacenter", "cmd", "e2e"},
		Why: "etcd is the one durable store, and only what owns durable state starts it"},
	{Path: "helm.sh/helm/v3/...", Transitive: true, Except: []string{"charts", "e2e"},
		Why: "Helm is large; no part of the datacenter needs it at run time"},
	{Path: "testing", Except: []string{"e2e"}, ExceptSuites: true,
		Why: "testing adds its flags to a binary; suites for several implementations live in their own xxxtest packages"},
}

// Ambient lists, per import path, the functions that pure packages may not use although the package has harmless parts:
// durations are values, and a generator with a given seed does the same on every run.
var Ambient = map[string]Calls{
	"time": {
		Names: []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
		Why:   "a pure package has no clock: the time comes in with the event",
	},
	"math/rand/v2": {
		Names: []string{
			"ExpFloat64", "Float32", "Float64", "Int", "Int32", "Int32N", "Int64", "Int64N", "IntN", "N", "NormFloat64",
			"Perm", "Shuffle", "Uint", "Uint32", "Uint32N", "Uint64", "Uint64N", "UintN",
		},
		Why: "a pure package is the same on every run: take a generator with a seed",
	},
}

// Calls are functions of one package, and why they must not be called.
type Calls struct {
	Names []string
	Why   string
}

// VagueNames are package names that say nothing about what lives inside.
var VagueNames = map[string]bool{
	"util": true, "utils": true, "common": true, "helper": true, "helpers": true, "misc": true,
	"shared": true, "types": true, "base": true, "lib": true, "manager": true,
}

// Limits on size: what a reader can hold.
const (
	// MaxFileLines holds for every Go file, tests too.
	MaxFileLines = 700
	// MaxFunctionLines holds for every function outside tests, from its first line to its last.
	MaxFunctionLines = 80
)
