# Everything builds with --release into one target folder: RocksDB is compiled once for each profile, and takes minutes.

CARGO ?= cargo
# Where cargo puts the programs, whatever says so: CARGO_TARGET_DIR, a cargo configuration, or nothing.
BIN = $(shell $(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release

# How long the long forms are.
CASES ?= 100000
SECONDS ?= 60
TARGETS ?= decode dns streams settings readers domain etherparse
KILLS ?= 1000
SEQUENCES ?= 500
SEED ?= 1
ROUNDS ?= 200
CAPTURES ?= captures/day-one.pcap captures/day-two.pcap captures/ipv6.pcap captures/refused.pcap

.DEFAULT_GOAL := help
.PHONY: help setup build demo test fmt lint docs-check fuzz crash model soak scale bench live receivers

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## install what the build needs (Debian; asks for sudo if not root)
	@scripts/setup.sh

build: setup ## build both programs; the first build compiles RocksDB and takes about 12 minutes on two cores
	@[ -x "$(BIN)/sensor" ] || echo "building; the first build compiles RocksDB and takes about 12 minutes on two cores" >&2
	@$(CARGO) build --release --locked

demo: build ## learn a recorded day, replay the next one, and see what was new
	@scripts/demo.sh "$(BIN)"

test: ## format, lints, documentation and all tests: what a change has to pass
	@scripts/setup.sh --tests
	$(CARGO) fmt --check
	$(CARGO) clippy --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --no-deps
	$(CARGO) test --release --locked --lib --test all

fmt: ## format the sources
	$(CARGO) fmt

lint: setup ## clippy, warnings refused
	$(CARGO) clippy --release --locked --all-targets -- -D warnings

docs-check: setup ## build the documentation, warnings refused
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --no-deps

fuzz: setup ## coverage-guided fuzzing of each target (SECONDS=60), the whole octet sweep, property tests with many cases (CASES=100000)
	@scripts/fuzz.sh $(SECONDS) $(TARGETS)
	FIRSTCONTACT_SWEEP=whole $(CARGO) test --release --locked --test all sweep::
	PROPTEST_CASES=$(CASES) $(CARGO) test --release --locked --lib

crash: build ## kill replays, live sensors beside rsyslog (root) and a process that commits, at random; cut logs as power cuts do, fill disks (KILLS=1000)
	@scripts/setup.sh --tests
	FIRSTCONTACT_KILLS=$$(($(KILLS) / 10)) $(CARGO) test --release --locked --lib store::crash -- --nocapture --test-threads=1
	FIRSTCONTACT_KILLS=$(KILLS) $(CARGO) test --release --locked --test all crash:: -- --nocapture --test-threads=1
	SENSOR="$(BIN)/sensor" tests/lab/crash.sh $$(($(KILLS) / 4))
	SENSOR="$(BIN)/sensor" REPLAY="$(BIN)/replay" tests/lab/disk.sh

model: setup ## random sequences of runs, kills and merges against the rules as plain words (SEQUENCES=500 SEED=1)
	FIRSTCONTACT_SEQUENCES=$(SEQUENCES) FIRSTCONTACT_SEED=$(SEED) $(CARGO) test --release --locked --test all model::

soak: build ## replay captures onto one ledger, a day further each time; alerts, memory and size are held (ROUNDS=200 CAPTURES=…)
	@scripts/soak.sh "$(BIN)/replay" $(ROUNDS) $(CAPTURES)

scale: setup ## what ten million pairs of a hundred thousand workloads cost, and 400 days of an estate that changes
	$(CARGO) bench --locked --profile release --bench scale
	$(CARGO) test --release --locked --test all estate:: -- --nocapture

bench: setup ## measure the stages and whole replays
	$(CARGO) bench --locked --profile release

live: build ## labs of network namespaces: live has to raise what replay raises (root)
	@scripts/setup.sh --tests
	SENSOR="$(BIN)/sensor" REPLAY="$(BIN)/replay" tests/lab/live.sh
	SENSOR="$(BIN)/sensor" REPLAY="$(BIN)/replay" tests/lab/listen.sh
	SENSOR="$(BIN)/sensor" REPLAY="$(BIN)/replay" tests/lab/copies.sh 4
	SENSOR="$(BIN)/sensor" REPLAY="$(BIN)/replay" tests/lab/copies.sh 6

receivers: build ## real rsyslog and syslog-ng over every transport; stopped and killed with 10,000 alerts outstanding (root)
	@scripts/setup.sh --tests
	SENSOR="$(BIN)/sensor" REPLAY="$(BIN)/replay" tests/lab/receivers.sh
