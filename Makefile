# make help lists the targets.
SHELL   := /bin/bash
GO      ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null)
TIME    := $(shell TZ=UTC git log -1 --date=format-local:%FT%TZ --format=%cd 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.commitTime=$(TIME)
BUILD   := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'
WORK    ?= build
MIRROR  ?= $(WORK)/mirror
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

build: clients ## bin/mkbuild and bin/mk-client for this machine
	$(BUILD) -o bin/ ./cmd/mkbuild ./cmd/mk-client

clients:
	@for arch in 386 amd64; do echo "mk-client for linux/$$arch"; c=$(WORK)/mk-client-$$arch; gz=internal/clientbin/bin/mk-client-$$arch.gz; \
	  GOOS=linux GOARCH=$$arch $(BUILD) -o $$c ./cmd/mk-client || exit 1; \
	  gzip -dc $$gz 2>/dev/null | cmp -s - $$c || { gzip -9nc $$c >$$c.gz && mv $$c.gz $$gz; } || exit 1; \
	done # the same file if nothing changed: test results stay

tools: ## install the Debian packages that demo, test and e2e need
	scripts/tools

mirror: ## assemble the stand-in mirror from Debian packages (LINE=4.x, 8.x or 15.x: one series alone)
	$(GO) run ./e2e/mkmirror $(if $(LINE),--only $(LINE)) --work $(WORK)/mirror-work $(MIRROR)

demo: ## build a prod ISO from a stand-in mirror and boot it, in under three minutes
	@MAKE="$(MAKE)" scripts/demo $(MIRROR) $(WORK)

# What make test leaves out: the boots except the nightly pipeline's, and two long tests of whole images. make e2e and
# .ci/run leave out nothing. -count=1 is faster: to keep a result, go test notes each file that a test opens.
LATER ?= TestCheckIn|TestBootFromNetwork|TestBrokenImages|TestUnknownServer|TestBootDevTakesAKeyAndNoPassword|TestNightliesBehindACache|TestSegmentsByUEFI|TestBootSeries8|TestBootUEFIFromAStick|TestBoot64BitSeries|TestLookIntoRealImages|TestAirGap

test: tools build ## all tests except those in LATER, in under five minutes
	LINE=$(if $(LATER),4.x) $(GO) run ./e2e/testrun -count=1 -timeout 90m $(if $(LATER),-skip '^($(LATER))$$') ./...

check: build lint ## the inner loop: format, lint, and all tests that boot nothing, if a change concerns them
	$(GO) run ./e2e/testrun -short -parallel 4 -timeout 30m ./...

e2e: tools build ## all boot tests; RUN=TestCheckIn: one of them
	$(GO) run ./e2e/testrun -count=1 -timeout 90m -run '$(RUN)' ./e2e

bare-root: ## the README's two commands and .ci/run in a minimal Debian root, as root
	scripts/bare-root $(WORK)/bare-root

bench: tools build mirror ## against the classic way of remastering
	scripts/bench
	$(GO) test -run '^$$' -bench . -benchtime 1x ./internal/remaster/... ./internal/initrd ./internal/squashfs

lint: ## go vet, golangci-lint, govulncheck
	scripts/lint

numbers: ## lines, functions, error types, and what is spread over too many files
	@$(GO) run ./scripts/numbers

man: build ## the manual pages, in build/man
	bin/mkbuild man $(WORK)/man

release: ## archives of mkbuild for all systems, with checksums, in build/release
	scripts/release $(WORK)/release

release-check: ## build a release twice and compare the bytes
	scripts/release-check

fuzz: ## every fuzz target, 100000 times
	scripts/fuzz 100000x

mutants: ## what no test of the judging packages notices: takes hours
	scripts/mutants

clean: ## remove what make made
	rm -rf bin $(WORK) internal/clientbin/bin/*.gz

.PHONY: help build clients tools mirror demo test check e2e bare-root bench lint numbers man release release-check fuzz mutants clean
