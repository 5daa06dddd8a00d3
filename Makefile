# Two targets matter: `make demo` shows the main job on real kernels, `make test` passes every test.
export CGO_ENABLED ?= 0
GO ?= go
FUZZTIME ?= 2s

.PHONY: allocs bench-standby all build test vet unit race fuzz vm lab demo bench bench-many clean

all: build

build: ## the two programs, static, in bin/
	$(GO) build -trimpath -o bin/ ./cmd/...

test: build vet race allocs fuzz vm ## everything

vet:
	@files=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$files" ]; then echo "gofmt these: $$files"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

unit: ## what needs no virtual machine; namespaces and sockets are real, and need root
	$(GO) test -short ./...

allocs: ## the race detector allocates; without it the hot paths must not
	$(GO) test -short -run Alloc ./...

race:
	CGO_ENABLED=1 $(GO) test -short -race ./...

fuzz: ## every fuzz target for FUZZTIME, its kept inputs first
	@set -e; for dir in $$($(GO) list -f '{{.Dir}}' ./...); do \
	  for target in $$(grep -hos '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -c6-); do \
	    echo "fuzz $$target"; (cd $$dir && $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) . >/tmp/fuzz.$$$$ 2>&1 || { cat /tmp/fuzz.$$$$; exit 1; }); \
	  done; done; rm -f /tmp/fuzz.$$$$

lab: ## prepares kernel and Jool modules for the virtual machines, once
	$(GO) run ./e2e/cmd/lab prepare

vm: lab ## tests on the real Jool module
	$(GO) test -count=1 -timeout 8m ./e2e/...

demo: ## a failover, narrated: two NAT64s in a virtual machine, one of them dies
	@$(GO) run ./e2e/cmd/demo

bench: ## measures ours beside C joold, and writes docs/benchmarks.md
	$(GO) run ./e2e/cmd/bench

bench-standby: ## what a standby comes to hold, beside C joold, into docs/benchmarks.md
	$(GO) run ./e2e/cmd/benchstandby

bench-many: ## measures 40 and 500 pairs, and writes docs/benchmarks.md
	$(GO) run ./e2e/cmd/benchmany

clean:
	rm -rf bin
