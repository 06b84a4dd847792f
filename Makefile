# The project's commands. `make` lists them.

MINUTES ?= 10

.DEFAULT_GOAL := help
.PHONY: help run test lint unit autobahn autobahn-full strict interop doors proxy paths acme browser idle fuzz sanitize bench bench-full bench-check bench-deflate

help: ## these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the server, with its demo page
	cargo run --release -- serve

test: ## every check there is; installs what they need (compliance/suite --list)
	@compliance/suite

lint: ## formatting, clippy, features, documentation
	@compliance/suite fmt clippy features docs

unit: ## everything cargo tests: unit, property, tidy, doctests, broker suite
	@compliance/suite unit

autobahn: ## the Autobahn suite in both roles; reports in compliance/out
	@compliance/suite autobahn

autobahn-full: ## all 517 cases of it, five minutes on an idle machine
	@compliance/suite autobahn-full

strict: ## what Autobahn does not check, on raw sockets
	@compliance/suite strict

interop: ## Python websockets and Node ws, both directions
	@compliance/suite interop

doors: ## nc, socat and curl at the doors for lines and events
	@compliance/suite doors

proxy: ## `trunkline connect` through Squid and MicroSocks
	@compliance/suite proxy

paths: ## every door through other people's proxies, with the files of docs/paths
	@compliance/suite paths

acme: ## certificates from Pebble, an ACME server for tests
	@compliance/suite acme

browser: ## the demo page in Chromium and Firefox, over HTTP/1.1 and HTTP/2
	@compliance/suite browser

idle: ## memory of 10,000 idle connections
	@compliance/suite idle

fuzz: ## every fuzz target for MINUTES=10 each
	@fuzz/run $(MINUTES)

sanitize: ## AddressSanitizer and valgrind
	@compliance/sanitize

bench: ## other libraries, the bare system calls and ours side by side: a short matrix, ten minutes
	@bench/run

bench-full: ## all of it: every cell and server, an hour and a half
	@bench/run --full

bench-check: ## that the benchmarks measure what they say
	@compliance/suite bench

bench-deflate: ## backends of permessage-deflate, and its memory
	@cargo run --release --manifest-path bench/deflate/Cargo.toml
