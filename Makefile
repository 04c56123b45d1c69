# Gardu. `make` alone lists what there is.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.ready-bench
ARGS ?=
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint types policies format shot bench browser softhsm strings lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(READY): requirements/dev.lock requirements/build.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Gardu needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --require-hashes -r requirements/dev.lock -r requirements/build.lock
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## synthetic data, accounts for every role, server on 127.0.0.1 (ARGS="--port 8080 --fresh --credentials FILE")
	$(BIN)/gardu demo $(ARGS)

browser: # a Chromium for the browser walks: the system's, or Debian's when we may install it, or npm's
	@sh tests/browser.sh

softhsm: # SoftHSM 2 for the tests of the PKCS #11 provider: the system's, or Debian's when we may install it; else they are skipped
	@sh tests/softhsm.sh

# One more than there are processors, up to eight: a test often waits for a process, a browser or a disk.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(8, len(os.sched_getaffinity(0)) + 1))')
# Tests start many Pythons: each reads compiled files where it may write them, whatever the caller's environment says.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test: $(READY) browser softhsm ## lint, types, laws, tests on SQLite, PostgreSQL and Chromium (SLOW=1: also those marked slow, as CI does)
	$(MAKE) --no-print-directory lint
	$(PYTEST) $(if $(SLOW),,-m "not slow") $(ARGS)

lint: $(READY) ## ruff, mypy, import-linter, policy check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory -j 2 types policies

types: $(READY)
	$(BIN)/mypy
	$(BIN)/lint-imports

policies: $(READY)
	$(BIN)/gardu policy check

format: $(READY) ## let ruff format and sort
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

shot: $(READY) browser ## screenshots of every page, light and dark, phone and desktop, id and en, into docs/shots/ (ARGS="--sheet --only WORD")
	$(BIN)/python tests/shots.py $(ARGS)

$(BENCH_READY): $(READY) requirements/bench.lock
	$(BIN)/pip install -q --require-hashes -r requirements/bench.lock
	@touch $@

bench: $(BENCH_READY) ## what we measure, as ratios in one run, into bench/results/latest.json
	$(BIN)/python -m bench $(ARGS)

strings: $(READY) ## collect new sentences into the English catalog; then fill in what is empty there
	$(BIN)/pybabel -q extract -F app/web/babel.cfg -k N_ --no-location -o $(VENV)/messages.pot app
	$(BIN)/pybabel -q update -N --no-wrap -l en -i $(VENV)/messages.pot -o app/web/translations/en/LC_MESSAGES/messages.po

lock: ## renew the lock files (needs uv)
	uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 pyproject.toml -o requirements/runtime.lock
	uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 --extra dev pyproject.toml -o requirements/dev.lock
	uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 --extra dev --extra bench pyproject.toml -o requirements/bench.lock

clean: ## remove the virtual environment and the demo's data
	rm -rf $(VENV) demo-data
