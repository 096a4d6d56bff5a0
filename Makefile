# Everything runs in .venv, which the stamps below make and keep up to date.

# The first Python that truly runs: a version manager's shim may exist and still fail.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo $$python; break; fi; done)

VENV := .venv
BIN := $(VENV)/bin
# Twice quiet: pip warns about each of a machine's extra package folders that lacks a package. Errors still show.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
READY := $(VENV)/.ready
SERVERS := $(VENV)/.servers

.DEFAULT_GOAL := help
.PHONY: help demo test cover soak matrix frameworks lanes packages bench audit lint types fmt clean

help: ## list what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

demo: $(READY) ## show one program on both APIs, from recordings, without a key
	@$(BIN)/adapter demo

test: $(READY) $(SERVERS) ## run the tests, on all cores; ARGS= goes to pytest (-n 0 shows the figures that tests print)
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

# Without our own pytest plugin: pytest would import it before the measuring begins.
cover: $(READY) $(SERVERS) ## run the tests and measure the branches they take
	$(BIN)/python -m pytest -p no:adapter --cov --cov-report=term $(ARGS)

soak: $(READY) ## leave ten thousand streams in every way, and show what is left of them; STREAMS= for another number
	SOAK_STREAMS=$(or $(STREAMS),10000) $(BIN)/python -m pytest -q -s -p no:cacheprovider tests/test_soak.py

matrix: $(READY) ## show what a caller sees of each fault of the network, natively and through the adapter
	$(BIN)/python -m pytest -q -s -p no:cacheprovider tests/test_fault_matrix.py -k test_the_table

frameworks: ## run frameworks on both backends, each in its own environment; ONLY= names some, ARGS= goes to pytest
	@test -n "$(PYTHON)" || { echo "No working Python 3.11 or later found: say which with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) tests/frameworks/run.py $(ONLY) -- $(ARGS)

lanes: ## run the tests on every SDK, HTTP library and Python; ONLY= names some, or is --short; ARGS= goes to pytest
	@$(PYTHON) tests/lanes.py $(ONLY) -- $(ARGS)

packages: $(READY) ## scan published packages, and change their imports; ONLY= names some; downloads them
	$(BIN)/python tests/packages/run.py $(ONLY)

bench: $(READY) ## measure what it costs beside the SDK alone, and write bench/RESULTS.md; SHORT=--short only tries it out
	$(BIN)/python -m bench $(SHORT)

audit: $(READY) ## audit a million made-up requests, kill it, and go on; COUNT= for another number
	$(BIN)/python -m bench.audit $(or $(COUNT),1000000)

lint: $(READY) ## check format, style and the import floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(READY) ## check the types
	$(BIN)/mypy

fmt: $(READY) ## format, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove everything that was made here
	rm -rf $(VENV) .lanes build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "No working Python 3.11 or later found: say which with PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(READY): requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	@mkdir -p cassettes/demo
	$(PIP) install --require-hashes --requirement requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# A real model server and a second type checker are big and optional. Where they can't be had, the tests that need them are skipped
# and say so.
$(SERVERS): requirements/servers.txt $(READY)
	@if $(PIP) --retries 1 install --require-hashes --requirement requirements/servers.txt; then touch $@; \
	else echo "llama.cpp's server and basedpyright could not be installed: the tests that need them will be skipped."; fi
