# Everything here runs as root on Debian 12 or Ubuntu, with Go 1.26, git and make.
# `make help` lists the targets.

SHELL := /bin/bash
GO    ?= go

# One set of flags for everything, so that nothing is compiled twice.
export CGO_ENABLED := 0
export GOFLAGS     := -trimpath -buildvcs=false
export GOTOOLCHAIN ?= auto

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X github.com/tombolo-project/tombolo/master.commit=$(COMMIT)

KUBERNETES_LDFLAGS := -s -w -X k8s.io/component-base/version.gitVersion=v1.35.4 \
	-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35 \
	-X k8s.io/component-base/version.gitTreeState=clean
CONTAINERD := github.com/containerd/containerd/v2
CNI        := github.com/containernetworking/plugins/plugins

TOOLS := bin/tools
# The Debian packages that running, building and testing need:
#   iproute2 nftables util-linux  masquerading, pods' host ports, the commands in run/*.cmd (nsenter)
#   gcc libc6-dev libseccomp-dev  to build runc
#   busybox-static                the image "busybox"
#   curl                          the demo
#   python3-dev python3-venv      a Mesos framework in Python that the tests run against the master
#   zookeeper default-jre-headless  a ZooKeeper, by which Mesos clients find masters
PACKAGES := iproute2 nftables util-linux gcc libc6-dev libseccomp-dev busybox-static curl python3-dev python3-venv zookeeper default-jre-headless

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## install the Debian packages that are missing
	@missing=""; for p in $(PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q '^install ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
		[ "$$(id -u)" = 0 ] || { echo "make deps: these packages are missing and only root can install them:$$missing" >&2; exit 1; }; \
		echo "installing$$missing"; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -q && apt-get install -y -q --no-install-recommends $$missing; \
	fi

# go build is incremental by itself: these always ask it.
.PHONY: build
build: ## bin/tombolo, bin/tombolo-executor and bin/tombolo-pod-executor
	$(GO) build -ldflags "$(LDFLAGS)" -o bin/ ./cmd/tombolo ./cmd/tombolo-executor ./cmd/tombolo-pod-executor

# What we run but do not link: built once, again when its module or program changes.
.PHONY: tools
tools: $(TOOLS)/.kubernetes $(TOOLS)/.runtime $(TOOLS)/.images ## bin/tools: Kubernetes, containerd, runc, CNI, images (11 minutes on two cores when cold)

$(TOOLS)/.kubernetes: tools/kubernetes/go.mod tools/kubernetes/go.sum $(wildcard tools/kubernetes/cmd/hyperkube/*.go) | deps
	@mkdir -p $(TOOLS)
	@echo "building the Kubernetes control plane (8 minutes on two cores when cold)"
	cd tools/kubernetes && $(GO) build -ldflags "$(KUBERNETES_LDFLAGS)" -o $(CURDIR)/$(TOOLS)/hyperkube ./cmd/hyperkube
	for c in kubectl etcd kube-apiserver kube-controller-manager kube-scheduler; do ln -sf hyperkube $(TOOLS)/$$c || exit 1; done
	@touch $@

$(TOOLS)/.runtime: tools/runtime/go.mod tools/runtime/go.sum | deps
	@mkdir -p $(TOOLS)/cni
	@echo "building containerd, runc and the CNI plugins (2 minutes on two cores when cold)"
	cd tools/runtime && $(GO) build -ldflags "-s -w -X $(CONTAINERD)/version.Version=v2.4.2" -o $(CURDIR)/$(TOOLS)/ \
		$(CONTAINERD)/cmd/containerd $(CONTAINERD)/cmd/containerd-shim-runc-v2
	cd tools/runtime && CGO_ENABLED=1 $(GO) build -tags seccomp -ldflags "-s -w" -o $(CURDIR)/$(TOOLS)/ github.com/opencontainers/runc
	cd tools/runtime && $(GO) build -ldflags "-s -w" -o $(CURDIR)/$(TOOLS)/cni/ \
		$(CNI)/main/bridge $(CNI)/main/loopback $(CNI)/ipam/host-local $(CNI)/meta/portmap
	@touch $@

$(TOOLS)/.images: $(wildcard tools/images/*/*.go) | deps
	@mkdir -p $(TOOLS)/images
	$(GO) build -ldflags "-s -w" -o $(TOOLS)/images/ ./tools/images/...
	install -m 0755 "$$(PATH=$$PATH:/bin:/usr/bin command -v busybox)" $(TOOLS)/images/busybox
	@touch $@

# Mesos clients written by others, for the end-to-end tests.
.PHONY: clients
clients: bin/clients/.go bin/clients/.python

bin/clients/.go: tools/clients/go.mod tools/clients/go.sum | deps
	@mkdir -p bin/clients
	cd tools/clients && $(GO) build -o $(CURDIR)/bin/clients/ \
		github.com/mesos/mesos-go/api/v1/cmd/example-scheduler github.com/mesos/mesos-go/api/v1/cmd/example-executor
	cd tools/clients && $(GO) build -o $(CURDIR)/bin/clients/v0/ \
		github.com/mesos/mesos-go/api/v0/examples/scheduler github.com/mesos/mesos-go/api/v0/examples/executor
	@touch $@

bin/clients/.python: tools/clients/pymesos/requirements.txt tools/clients/pymesos/install.sh | deps
	tools/clients/pymesos/install.sh $(CURDIR)/bin/clients/pymesos
	@touch $@

.PHONY: up down
up: deps tools build ## start a whole datacenter on this machine; Ctrl-C stops it (UP='--detach --agents 5')
	bin/tombolo up $(UP)

down: ## stop it and leave nothing behind (DOWN=--purge removes its state too)
	bin/tombolo down $(DOWN)

.PHONY: lint
lint: ## format, vet, staticcheck, and the rules of the architecture
	.ci/lint

.PHONY: image
image: build ## build/image: the container image as an OCI layout, without a container engine (IMAGE='--reference R/tombolo:1 --push')
	$(GO) run ./internal/image/tombolo-image --version $(VERSION) $(IMAGE)

.PHONY: test unit e2e
test: unit e2e ## everything that must pass; needs root (5 minutes on two cores when warm)

unit: deps tools build ## unit tests, properties, protocol scripts
	$(GO) test -count=1 -timeout 20m $$($(GO) list ./... | grep -v '/e2e$$')

e2e: deps tools build clients ## the end-to-end scenarios alone
	$(GO) test -count=1 -timeout 40m ./e2e

.PHONY: chaos
chaos: deps tools build ## leaders killed and stopped, 50 times each, by list and by ZooKeeper (30 minutes; CHAOS=n for n times)
	TOMBOLO_FAILOVERS=$(or $(CHAOS),50) $(GO) test -count=1 -timeout 120m -v -run '^TestFailover' ./e2e

.PHONY: sim mutants properties
properties: ## 100,000 random lives of the allocator against the slow oracle (about 5 minutes on two cores; make test runs 2,000)
	$(GO) test -count=1 -timeout 60m -run 'Test(ALC|RUN|SEM)' ./offers -rapid.checks=100000

sim: ## 10,000 simulated lives of a datacenter with faults (about 5 minutes on two cores; SIM='-first 10001', SIM='-seed 7')
	$(GO) run ./internal/sim/tombolo-sim -seeds 10000 -floor 10000 $(SIM)

mutants: ## plant bugs in the cores, one at a time, and see that the tests catch each (15 minutes on two cores; MUTANTS='-only quota')
	$(GO) run ./tools/mutants -write docs/planted-bugs.md $(MUTANTS)

.PHONY: bench demo
bench: ## the figures of docs/figures.md
	$(GO) test -run '^$$' -bench . -benchmem -timeout 30m $$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n1 dirname | sort -u)

demo: ## the tour of the README against a running up, checked (DEMO='--dir DIR')
	demo/demo.sh $(DEMO)
