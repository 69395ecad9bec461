# Two commands matter: `make failover` and `make test`.
GO    ?= $(shell command -v go || echo /usr/local/go/bin/go)
SUDO  := $(if $(filter 0,$(shell id -u)),,sudo)
T     ?= dual-isp
FLAGS ?=
# Tests that measure want the machine for themselves: one package at a time.
ROOT_TEST = GWLAB_REQUIRE_ROOT=1 $(GO) test -p 1 -count=1 -timeout 20m

.PHONY: failover test test-rootless test-root lab-up lab-down build deps lint vet generate fuzz-smoke bench ci sweep clean

failover: deps build ## build the dual-ISP lab, break it, print a convergence report
	$(SUDO) bin/gwlab run --all --repeat 1 --retry-invalid 2 $(FLAGS)

lab-up: deps build ## bring the lab up to live in (T=NAME picks another)
	$(SUDO) bin/gwlab up -t $(T)

lab-down: build ## take it down
	$(SUDO) bin/gwlab down $(T)

build:
	$(GO) build -trimpath -o bin/ ./cmd/...

deps: ## install what is missing (Debian and Ubuntu)
	@sh scripts/deps.sh

test: deps build vet ## every test, rootless and root
	$(if $(SUDO),$(GO) test ./...)
	$(SUDO) env PATH="$$PATH:/usr/sbin:/sbin" GOFLAGS="$$GOFLAGS" GOMODCACHE="$$($(GO) env GOMODCACHE)" $(ROOT_TEST) ./...

test-rootless: vet ## what needs no privileges; root tests say why they skip
	$(GO) test ./...

vet:
	@out=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .) && test -z "$$out" || { echo "$$out"; echo 'run: gofmt -w on the files above'; exit 1; }
	$(GO) vet ./...

lint: ## the pinned linter
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run

generate: ## tables of the documentation that come from lists in the code
	$(GO) test ./internal/docstest -run TestGeneratedTables -update

fuzz-smoke: ## ten seconds of each fuzz target
	sh scripts/fuzz.sh 10s

bench: deps build ## the figures of docs/benchmarks.md
	$(SUDO) env PATH="$$PATH:/usr/sbin:/sbin" sh scripts/bench.sh

ci: ## what CI runs
	bash .ci/run

sweep: build ## remove what dead labs left behind
	$(SUDO) bin/gwlab sweep

clean:
	rm -rf bin
