# The project's commands. `make` lists them.

MINUTES ?= 10

.DEFAULT_GOAL := help
.PHONY: help run test lint unit autobahn strict interop browser idle fuzz

help: ## these lines
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the server, with its demo page
	cargo run --release -- serve

test: ## every check there is; installs what they need (compliance/suite --list)
	@compliance/suite

lint: ## formatting, clippy, documentation
	@compliance/suite fmt clippy docs

unit: ## everything cargo tests: unit, property, tidy, doctests, broker suite
	@compliance/suite unit

autobahn: ## the Autobahn suite in both roles; reports in compliance/out
	@compliance/suite autobahn

strict: ## what Autobahn does not check, on raw sockets
	@compliance/suite strict

interop: ## Python websockets and Node ws, both directions
	@compliance/suite interop

browser: ## the demo page in Chromium and Firefox
	@compliance/suite browser

idle: ## memory of 10,000 idle connections
	@compliance/suite idle

fuzz: ## every fuzz target for MINUTES=10 each
	@fuzz/run $(MINUTES)
