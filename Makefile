# The two commands: `make check` before every commit, `make test` before every push.
# Needs Go, git and make; `make test` brings the rest itself (scripts/setup).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# One setting for building and testing: the same cached objects serve both, and no C
# compiler is needed.
export CGO_ENABLED := 0
# The version is stamped below; asking git again fails in a checkout of another user.
export GOFLAGS += -buildvcs=false
# The aws CLI of scripts/setup, where it has run.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
BUILD   := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"

# Packages whose tests touch no disk, network or clock; they run in `make check`.
PURE := $(wildcard internal/fault internal/sigv4 internal/policy internal/pipeline internal/buildspec internal/cron internal/pattern internal/engine)

.NOTPARALLEL:
.PHONY: help check build demo test setup lint e2e kill soak nightly bench bench-scale clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: ## what must hold before every commit; under a minute
	@out=$$(gofmt -l $(wildcard cmd internal e2e bench)); \
	  [ -z "$$out" ] || { echo "gofmt -w these:"; echo "$$out"; exit 1; } >&2
	@scripts/check-generated
	@go vet ./...
	@go test -short -timeout 20m ./internal/house $(PURE:%=./%/...)

build: ## bin/penstock, static and stripped
	@go build $(BUILD) -o bin/penstock ./cmd/penstock

demo: build ## from a push to a deployed release, on a throw-away folder
	@bin/penstock demo

setup: ## bring what the tests need beside Go, git and make
	@scripts/setup

lint: ## staticcheck, at the version of tools/go.mod
	@go tool -modfile=tools/go.mod staticcheck ./...

test: setup check lint build ## everything
	@scripts/check-binary bin/penstock
	@go test -timeout 60m $$(go list ./... | grep -vE '^penstock/e2e(/|$$)')
	@scripts/fuzz 10s
	@$(MAKE) --no-print-directory e2e

e2e: build ## the scripts that drive the real binary with real clients
	@PENSTOCK_BIN=$(CURDIR)/bin/penstock scripts/terraform
	@PENSTOCK_BIN=$(CURDIR)/bin/penstock go test -count=1 -timeout 60m ./e2e/...

kill: build ## 200 times kill -9 while pipelines run
	@PENSTOCK_BIN=$(CURDIR)/bin/penstock PENSTOCK_KILLS=200 go test -count=1 -timeout 60m -v -run TestKill ./e2e

soak: build ## N times (20) the simulations, the linearizability check and the faults
	@PENSTOCK_BIN=$(CURDIR)/bin/penstock scripts/soak $(or $(N),20)

nightly: kill ## what takes longer: a million simulated steps, 200 kills, 10 mishaps at each point, 100 000 mixed requests, ten minutes of each fuzz target
	@PENSTOCK_BIN=$(CURDIR)/bin/penstock PENSTOCK_MISHAPS=10 go test -count=1 -timeout 60m -v -run TestMishaps ./e2e
	@PENSTOCK_SIM_STEPS=1000000 PENSTOCK_SIM_SEED=$$(date +%s) go test -count=1 -timeout 60m -v -run TestSimulation ./internal/engine
	@PENSTOCK_FUZZ_REQUESTS=100000 PENSTOCK_FUZZ_SEED=$$(date +%s) go test -count=1 -timeout 60m -v -run TestMixedRequests ./internal/app
	@scripts/fuzz 10m

bench: build ## measure, next to the physical limits of the same minute
	@PENSTOCK_BIN=$(CURDIR)/bin/penstock go run ./bench

bench-scale: build ## how requests fare beside 10 000 pipelines with 1 000 000 executions; needs 15 GB
	@PENSTOCK_BIN=$(CURDIR)/bin/penstock go run ./bench -crowd

clean: ## remove what was built; .venv stays
	@rm -rf bin dist
