# solevip: the commands of the README, and those of its developers. "make help" lists them.

GO      ?= go
SEEDS   ?= 1000
FROM    ?= 1
TIME    ?= 30s
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# grpcnotrace leaves out a tracing page of gRPC that would make the binary a quarter bigger.
BUILD   := CGO_ENABLED=0 $(GO) build -trimpath -tags grpcnotrace -ldflags "-s -w -X main.release=$(VERSION)"

# What test/setup.sh unpacked, and where Debian keeps servers.
export PATH := $(PATH):/usr/sbin:/sbin:$(CURDIR)/bin/tools/usr/bin

.PHONY: help build setup demo test race sim fuzz bench lint install clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

build: ## build bin/solevip and bin/solevip-lab
	$(BUILD) -o bin/solevip ./cmd/solevip
	$(BUILD) -o bin/solevip-lab ./cmd/solevip-lab

setup: ## install what the demo and the tests need, if it is missing
	@test/setup.sh

demo: setup build ## show a failover with a fenced peer, beside keepalived (root)
	bin/solevip-lab demo --bin bin/solevip

# One package at a time: tests with real packets measure time. The figures are those of the faults that
# test/netns inflicts on solevip and on keepalived in this run.
test: setup ## run all tests (root, for those with real packets)
	$(GO) vet ./...
	@rm -f bin/figures.txt; mkdir -p bin
	SOLEVIP_FIGURES=$(CURDIR)/bin/figures.txt $(GO) test -timeout 30m ./test/netns
	@cat bin/figures.txt 2>/dev/null || true
	$(GO) test -p 1 -timeout 30m $$($(GO) list ./... | grep -v /test/netns$$)

race: ## run the tests without network namespaces under the race detector
	$(GO) test -race -timeout 30m $$($(GO) list ./... | grep -v /test/netns)

sim: ## simulate SEEDS clusters, from seed FROM
	$(GO) test ./test/sim -count=1 -timeout 0 -sim.seeds=$(SEEDS) -sim.from=$(FROM)

fuzz: ## fuzz every parser for TIME each
	@for target in $$(grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9]+' $$target/*_test.go | cut -d' ' -f2); do \
			echo "== $$target $$f"; $(GO) test $$target -run '^$$' -fuzz "^$$f$$" -fuzztime $(TIME) || exit 1; \
		done; \
	done

bench: setup build ## measure, beside keepalived (root)
	$(GO) test ./... -run '^$$' -bench . -benchtime 1s
	bin/solevip-lab demo --bin bin/solevip

lint: ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

install: build ## install the binary and the systemd unit
	install -D -m 0755 bin/solevip $(DESTDIR)/usr/sbin/solevip
	install -D -m 0644 packaging/solevip.service $(DESTDIR)/lib/systemd/system/solevip.service
	install -d -m 0750 $(DESTDIR)/etc/solevip

clean: ## remove what was built
	rm -rf bin
