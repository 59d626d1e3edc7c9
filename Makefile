# One target per intention; `.ci/run` uses the same ones. `make` alone lists them.
# A POSIX shell and Python 3.11+ are all it needs:  make setup PYTHON=python3.12

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo check test soak bench sandbox lock

PYTHON ?= python3
MINUTES ?= 10
PYTEST_ARGS ?=
BENCH_ARGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Compiled code is kept even where the machine is set not to: every process of a test or a demo would compile it anew.
export PYTHONDONTWRITEBYTECODE =

help: ## list the targets (this is what `make` alone does)
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z-]*:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: .venv/.compiled ## make .venv with the pinned, hashed packages and the coupon-runner command

demo: setup ## issue sample_inputs/demo.xlsx against the embedded sandbox, in a fresh folder of its own (.demo/)
	@rm -rf .demo && mkdir -p .demo
	@XDG_STATE_HOME="$(CURDIR)/.demo/state" XDG_CONFIG_HOME="$(CURDIR)/.demo/config" \
	  $(BIN)/coupon-runner run sample_inputs/demo.xlsx --sandbox --fresh \
	    --sandbox-config sample_inputs/demo-sandbox.toml --campaign demo --yes \
	    --ledger .demo/ledger.db --out .demo/coupon-runs; \
	status=$$?; echo; \
	case $$status in \
	  0) echo "The demo is finished: every coupon was issued." ;; \
	  1) echo "The demo is finished: coupons were issued, and some rows need a person, which it shows on purpose (exit code 1)." ;; \
	  *) echo "The demo did not finish: coupon-runner ended with exit code $$status." >&2; exit $$status ;; \
	esac; \
	echo "Its reports:"; ls -d .demo/coupon-runs/*/*

check: setup ## format, lint, types and architecture: what a change must pass beside its tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict runner
	$(BIN)/mypy tests benchmarks
	$(BIN)/lint-imports --no-logo

test: setup ## every test but the soak runs, on two processes (at most five minutes)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not soak" --durations=5 $(PYTEST_ARGS)

soak: .venv/.soak ## kills, lies and random files for a while: make soak MINUTES=10
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

bench: setup ## every figure beside its control, half an hour; some of it: make bench BENCH_ARGS="--only pace"
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

sandbox: setup ## serve the pretended API on this machine until Ctrl-C
	$(BIN)/coupon-runner sandbox

lock: ## pin requirements*.txt anew from requirements*.in (for every platform and Python 3.11+)
	$(PYTHON) -m venv --clear .lock-venv
	.lock-venv/bin/python -m pip --disable-pip-version-check install --quiet uv
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements-dev.in -c requirements.txt -o requirements-dev.txt
	$(LOCK) requirements-soak.in -c requirements-dev.txt -o requirements-soak.txt
	rm -rf .lock-venv

# The files name no index and no host: where packages come from is the machine's own setting.
LOCK = .lock-venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate

# Made anew whenever the pins change, so that it holds what they say and nothing else.
.venv/.packages: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "coupon-runner needs Python 3.11 or newer, and '$(PYTHON)' is not one ($$($(PYTHON) --version 2>&1)). Name one that is: make setup PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

# The project itself, editable. setuptools is among the pins, so nothing is fetched (and nothing may be: --no-index).
.venv/.installed: .venv/.packages pyproject.toml
	$(PIP) install --quiet --no-index --no-deps --no-build-isolation --editable .
	@touch $@

# Half a second of every start, where nothing may be written later (PYTHONDONTWRITEBYTECODE, another user's folder).
.venv/.compiled: .venv/.installed $(wildcard runner/*.py runner/*/*.py runner/*/*/*.py)
	@$(BIN)/python -m compileall -q runner
	@touch $@

# The same pins as above and schemathesis.
.venv/.soak: .venv/.installed requirements-soak.txt
	$(PIP) install --quiet --require-hashes -r requirements-soak.txt
	@touch $@
