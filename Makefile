# What CI runs, step by step. Each step works alone.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME = 5s
SOAKTIME = 5m

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

check: test format vet cross safe gigabyte blackbox race unprivileged nested somemutants fuzz ## everything that CI runs

test: ## all tests of the root module
	go test ./...

format: ## every file is as gofmt would write it, and go.mod as go mod tidy would
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	go mod tidy -diff

vet: ## go vet and staticcheck
	go vet ./...
	go run $(STATICCHECK) ./...

cross: ## the packages build and vet on other platforms
	GOOS=windows go vet ./h1 ./transport/... ./kvstore ./server/... ./cmd/... ./examples/...
	GOOS=darwin go vet ./h1 ./transport/... ./kvstore ./server/... ./cmd/... ./examples/...

safe: ## h1 without its unsafe loads
	go test -tags h1_safe ./h1 ./fuzz

gigabyte: ## the proxy passes a gigabyte in fixed memory
	POSTERN_GIGABYTE=1 go test -count=1 -run Gigabyte ./examples/proxy

race: ## all tests under the race detector, with fewer kills of the store
	go test -race -short ./...

unprivileged: ## what root is not kept from, tested as nobody where we are root
	@if [ "$$(id -u)" = 0 ]; then \
		set -e; d=$$(mktemp -d); trap "rm -rf $$d" EXIT; chmod 777 $$d; \
		for p in transport/unix kvstore; do \
			go test -c -o $$d/test ./$$p; chmod 755 $$d/test; \
			(cd $$d && TMPDIR=$$d setpriv --reuid=65534 --regid=65534 --clear-groups ./test); \
		done; fi

fuzz: ## each fuzz target for FUZZTIME
	@for t in $$(go test ./fuzz -list '^Fuzz' | grep ^Fuzz); do \
		echo "fuzz $$t"; go test ./fuzz -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZTIME) || exit 1; done

somemutants: ## a sixth of mutants
	go run ./internal/mutants -every 6

mutants: ## h1's tests notice each of its rules being weakened
	go run ./internal/mutants

nested: ## the nested modules vet, test (but for abuse) and are tidy
	@for m in $$(git ls-files '*/go.mod'); do \
		(set -e; cd $$(dirname $$m); echo "nested $$m"; go mod tidy -diff; go vet ./...; \
		[ $$m = internal/abuse/go.mod ] || go test ./...) || exit 1; done

soak: ## good and bad clients at a server for SOAKTIME, under the race detector
	cd internal/abuse && POSTERN_SOAK=$(SOAKTIME) go test -race -count=1 -timeout 0 -v -run Soak .

abuse: ## the long version of internal/abuse; wants 20,000 descriptors and an idle machine
	cd internal/abuse && POSTERN_ABUSE=1 go test -count=1 -timeout 20m -v -run 'Abuse|Idle' .

blackbox: ## real clients against the real programs; installs what is missing
	.ci/blackbox

bench: ## benchmarks of the hot paths, and beside peers
	go test -run '^$$' -bench . ./h1 ./server ./kvstore
	cd bench && go test -run '^$$' -bench .

.PHONY: help check test format vet cross safe gigabyte race unprivileged nested mutants somemutants fuzz blackbox soak abuse bench
