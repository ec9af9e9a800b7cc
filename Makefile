# Everything that is done to registry-mesh by hand or by machine. `make help` lists it.
# A fresh Debian 12 with git, make and python3 is enough: demo and test set themselves up.
#
# WORKERS are the processes that run tests. Tests wait for time-outs, clients and other nodes more than half of their
# time: of two processors three used 66 %. Each takes up to 1.1 GB.

PYTHON ?= python3
VENV   ?= .venv
WORKERS ?= 4
BIN    := $(VENV)/bin
PYTEST := tests/scratch.sh $(BIN)/python -m pytest -p no:cacheprovider -n $(WORKERS) --dist loadfile --no-loadscope-reorder
QUICK  := not client and not s3 and not slow
PIP    := tests/again.sh $(BIN)/python -m pip --disable-pip-version-check --no-input
UV     := $(BIN)/uv pip compile --universal --generate-hashes --no-header --no-strip-extras --quiet --python-version 3.11
LOCK   := $(UV) pyproject.toml --extra speed

# Compiled modules are kept beside the packages and not in the source tree: each of the hundreds of processes that the
# tests start would compile them again.
export PYTHONPYCACHEPREFIX = $(abspath $(VENV))/.pycache
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup setup-run fmt lint check test clients chart-tools mesh demo bench bench-quick load docs site lock upgrade clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.dev ## a virtual environment in .venv with all that development needs

setup-run: $(VENV)/.run ## the same with only what the program itself needs

fmt: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

lint: setup ## format, ruff, mypy, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --cache-dir $(VENV)/.mypy
	$(BIN)/lint-imports --no-cache

check: lint ## lint and the quick tests: before every commit
	$(PYTEST) -q -m "$(QUICK)"

test: setup ## everything, real container clients included (root: it installs Debian packages)
	@test "$$(id -u)" = 0 || { echo "make test drives real container clients: run it as root, or run 'make check'"; exit 1; }
	$(MAKE) -s -j3 clients chart-tools $(VENV)/.rewritten
	$(PYTEST)

clients:
	tests/clients/setup.sh

# pytest rewrites the assertions of each test file before it is compiled: once here, in halves, and not once more in
# each of the workers, which begin with the same file at the same moment. What cannot be collected is told of by them.
$(VENV)/.rewritten: | setup
	@printf '%s\n' tests/*/ | xargs -P 2 -n 16 $(BIN)/python -m pytest -p no:cacheprovider --collect-only -q >/dev/null || :
	@touch $@

chart-tools: $(VENV)/bin/helm ## helm and kubectl into .venv/bin, for the tests of the chart

$(VENV)/bin/helm: | setup
	tests/again.sh $(VENV)/bin/python -m tests.clients.chart_tools $(VENV)/bin

mesh: setup ## whole trees and real clients only
	$(PYTEST) tests/mesh

demo: setup-run ## three tiers on loopback, an image through all of them, a table of what it cost
	$(BIN)/registry-mesh demo

bench: setup $(VENV)/.bench ## measure the data plane (loadtests/), with a report
	$(BIN)/python -m loadtests --figures docs/figures

bench-quick: setup $(VENV)/.bench ## the same in a few minutes
	$(BIN)/python -m loadtests --quick

load: bench-quick

docs: setup ## write again what is generated: the schemas of configuration and rules, the pages about fills and metrics
	$(BIN)/python -m registry_mesh.config.schema config/schema
	$(BIN)/python -m registry_mesh.config.rule_entries config/schema
	$(BIN)/python -m registry_mesh.telemetry.audit config/schema
	$(BIN)/python -m registry_mesh.content.fill.picture docs/fill.md
	$(BIN)/python -m registry_mesh.telemetry.handbook .

site: setup ## the documentation as a site, in build/site; a broken link is an error
	$(BIN)/python -m sphinx -q -W --keep-going -b html -c docs . build/site

lock: setup ## write the lock files again, keeping versions where they still fit
	$(LOCK) --group build -o requirements.lock
	$(LOCK) --group build --group dev -c requirements.lock -o requirements-dev.lock
	$(UV) --group pyproject.toml:bench -c requirements-dev.lock -o requirements-bench.lock

upgrade: setup ## write the lock files again with the newest versions
	$(LOCK) --group build --upgrade -o requirements.lock
	$(LOCK) --group build --group dev --upgrade -c requirements.lock -o requirements-dev.lock
	$(UV) --group pyproject.toml:bench --upgrade -c requirements-dev.lock -o requirements-bench.lock

clean: ## forget the virtual environment and every cache
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than the lock file that was installed.
$(VENV)/.run: requirements.lock pyproject.toml | $(BIN)/pip
	$(PIP) install --quiet --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.bench: requirements-bench.lock $(VENV)/.dev
	$(PIP) install --quiet --require-hashes -r requirements-bench.lock
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "registry-mesh needs Python 3.11 or later; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	  DEBIAN_FRONTEND=noninteractive tests/again.sh sh -c 'apt-get update -qq && apt-get install -y -qq python3-venv' \
	  >/dev/null; } || { \
	  echo "this Python cannot make virtual environments; run: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
