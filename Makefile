# Two targets matter: `make demo` shows the main job on real kernels, `make test` passes the tests. `make ci` has all that CI runs, `make test-long` installs the
# packages in whole systems.
export CGO_ENABLED ?= 0
GO ?= go
FUZZTIME ?= 5000x
GOVULNCHECK ?= v1.9.0

.PHONY: ci vm-counted vm-newest vm-others vulncheck sim sim-mutations stress soak soak-short bench-live bench-standby chaos all build test check vet unit race fuzz vm test-long lab demo bench bench-many packages release clean

all: build

build: ## the two programs, static, in bin/
	$(GO) build -trimpath -o bin/ ./cmd/...

test: ## in less than ten minutes: all tests without a virtual machine; 2,000 simulations; the commands and the documents on the newest Jool; the lab is prepared meanwhile
	@nice -n 19 $(MAKE) -s lab >/dev/null 2>&1 & trap "kill $$! 2>/dev/null" EXIT; $(MAKE) build vet && $(MAKE) unit && $(MAKE) sim && $(MAKE) vm-newest

ci: ## what CI runs: also the race detector, fuzzing, and the other tests on the real module, on its oldest version, too
	$(MAKE) test && $(MAKE) race && $(MAKE) fuzz && $(MAKE) vm-counted vm-others

check: vet ## without root and without a virtual machine, for every user, in less than a minute
	JOOLCTL_NO_ROOT=1 $(GO) test -count=1 -short ./...
	$(GO) test -count=1 -run '^TestSimulation$$' ./worker -sim.seeds 200

vet:
	@files=$$(gofmt -l $$($(GO) list -f '{{.Dir}}' ./...)); if [ -n "$$files" ]; then echo "gofmt these: $$files"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags provoke ./cmd/joolctl
	$(GO) vet -tags manpages ./cmd/...
	$(GO) tool staticcheck ./...

unit: ## what needs no virtual machine; namespaces and sockets are real, and need root; the hot paths must not allocate
	$(GO) test -count=1 -short ./...

race: ## most tests wait most of the time, so there is room for more of them at once
	CGO_ENABLED=1 $(GO) test -short -race -parallel 4 ./...

sim: ## simulates SEEDS groups of hosts with faults, in virtual time; a failing one prints the command that repeats it
	$(GO) test -count=1 -timeout 6h -v -run '^TestSimulation$$' ./worker -sim.seeds $(or $(SEEDS),2000)
	$(GO) test -count=1 -timeout 6h -v -run '^TestSealedSimulation$$' ./worker -sim.seeds $$(($(or $(SEEDS),2000) / 20))

vulncheck: ## looks up known vulnerabilities of the modules and of Go; skips if the database cannot be reached (VULNDB chooses another one)
	@out=$$($(GO) run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK) $(if $(VULNDB),-db $(VULNDB)) ./... 2>&1); status=$$?; echo "$$out"; \
	case "$$out" in *"fetching vulnerabilities: "*) echo "vulncheck: SKIPPED, nothing was checked: the vulnerability database cannot be reached; run make vulncheck where it can be, or set VULNDB to a copy of it"; exit 0;; esac; \
	exit $$status

sim-mutations: ## how many seeds the simulation needs to find each of some defects; fails if it does not find one
	$(GO) run ./replication/sim/mutations -seeds $(or $(SEEDS),2000)

stress: ## tests RUNS times beside LOOPS busy loops; PACKAGES and RUN choose them
	@trap 'kill $$busy' EXIT INT TERM; for i in $$(seq $(LOOPS)); do timeout 2h sh -c 'while :; do :; done' & busy="$$busy $$!"; done; \
	CGO_ENABLED=1 $(GO) test -short -race -parallel 4 -timeout 1h -failfast -count=$(RUNS) -run '$(RUN)' $(PACKAGES)

fuzz: ## every fuzz target for FUZZTIME, its kept inputs first
	@set -e; for dir in $$($(GO) list -f '{{.Dir}}' ./...); do \
	  for target in $$(grep -hos '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -c6-); do \
	    echo "fuzz $$target"; (cd $$dir && nice -n 19 $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) . >/tmp/fuzz.$$$$ 2>&1 || { cat /tmp/fuzz.$$$$; exit 1; }); \
	  done; done; rm -f /tmp/fuzz.$$$$

lab: ## prepares kernel and Jool modules for the virtual machines, once
	$(GO) run ./e2e/cmd/lab prepare

# Their machines count instructions: each has one processor, and takes no notice of the other.
COUNTED := ^(TestChaos|TestCompleteness|TestDrill|TestFailovers|TestFleet|TestHeal|TestKeepalived|TestRates|TestSealed|TestSealedAttack|TestStandby)$$

NEWEST := ^TestVM$$/^newest

vm: vm-counted vm-newest vm-others ## tests on the real Jool module

vm-counted: lab
	$(GO) test -count=1 -timeout 40m -parallel 2 -run '$(COUNTED)' ./e2e

vm-newest: lab
	$(GO) test -count=1 -timeout 10m -run '$(NEWEST)' ./e2e

vm-others: lab # of two machines in real time at once each would take more than twice as long
	$(GO) test -count=1 -timeout 40m -parallel 1 -skip '^TestSoak$$|$(NEWEST)|$(COUNTED)' ./e2e/...

# They boot one machine after the other, in real time; those of TestTrixie that count instructions share the processors.
test-long: ## package and units in Debian bookworm and trixie with systemd; sync, standby and heal on trixie's kernel; ten failovers under keepalived, FRR and BIRD
	$(GO) run ./e2e/cmd/lab prepare bookworm trixie
	JOOLCTL_LONG=1 $(GO) test -count=1 -timeout 90m -parallel 2 -run '^(TestFailovers|TestFiveMinutes|TestInstallation|TestUpgrade|TestTrixie)$$' ./e2e
	JOOLCTL_LONG=1 $(GO) test -count=1 -timeout 50m -p 1 -run '^TestSystem$$' ./e2e/lab ./packaging/systemd

demo: ## a failover, narrated: two NAT64s in a virtual machine, one of them dies
	@$(GO) run ./e2e/cmd/demo

bench: ## measures ours beside C joold, and writes docs/benchmarks.md
	$(GO) run ./e2e/cmd/bench

bench-standby: ## what a standby comes to hold, beside C joold, into docs/benchmarks.md
	$(GO) run ./e2e/cmd/benchstandby

bench-live: ## measures in real time how long new sessions take to the standby, and what that costs, into docs/benchmarks.md
	$(GO) run ./e2e/cmd/benchlive
	$(GO) run ./e2e/cmd/lab test -run TestSealedCost -short=false -v

bench-many: ## measures 40 and 500 pairs, and writes docs/benchmarks.md
	$(GO) run ./e2e/cmd/benchmany

soak: ## random faults for ten minutes, into docs/reliability.md; SOAK='-seed 1 -minutes 10' chooses
	$(GO) run ./e2e/cmd/soak $(SOAK)

soak-short: lab ## a minute of it, always the same faults
	$(GO) test -count=1 -timeout 10m -run '^TestSoak$$' -v ./e2e

chaos: ## every fault that can be made, beside C joold, into docs/reliability.md
	$(GO) run ./e2e/cmd/chaos

packages: ## .deb, .rpm and .apk for amd64 and arm64, checksums and SBOM, in dist/; builds twice and compares
	$(GO) run ./packaging/cmd/packages -out dist -check

release: ## the same from a clean tag only, with tarballs and release notes
	$(GO) run ./packaging/cmd/packages -out dist -check -release

clean:
	rm -rf bin dist
