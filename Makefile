# Everything runs in .venv, which tests/environments.py makes and keeps up to date.

# A user's own settings must not decide what is imported, or how; and without compiled files every start takes a second longer.
unexport PYTHONPATH PYTHONHOME PYTHONSAFEPATH PYTHONOPTIMIZE PYTHONWARNINGS PYTHONINSPECT PYTHONDONTWRITEBYTECODE

# The first Python that truly runs: a version manager's shim may exist and still fail. Looked for once, when it is first needed.
PYTHON ?= $(eval PYTHON := $(shell for python in python3.13 python3.12 python3.11 python3; do \
	if $$python -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo $$python; break; fi; done))$(PYTHON)

BIN := .venv/bin
# `$(call environment,NAME)` makes an environment, or checks the one that is there. It says what it does, where it does anything.
python = @test -n "$(PYTHON)" || { echo "No working Python 3.11 or later found: say which with PYTHON=…" >&2; exit 1; }; $(PYTHON)
environment = $(python) -m tests.environments --quiet $(1)

.DEFAULT_GOAL := help
.PHONY: help demo environment test test-all cover soak matrix frameworks tracers guides apps lanes packages setup-check bench audit docs docs-serve docs-tables spelling lint types fmt clean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: ## show one program on both APIs, from recordings, without a key
	$(call environment,demo)
	@$(BIN)/adapter demo

environment: ## make the environment of the tests, and nothing else
	$(call environment,dev)
	$(call environment,servers --optional)

test: ## run the first tier of the tests, on all cores: units, and contracts through two ways in; ARGS= goes to pytest
	$(call environment,dev)
	$(BIN)/python -m pytest --quick -n auto --dist worksteal $(ARGS)

# Three processes for two cores: tests wait for servers and for processes of their own a quarter of the time.
test-all: ## run all tests; ARGS= goes to pytest (-n 0 shows the figures that tests print)
	$(call environment,dev)
	$(call environment,servers --optional)
	$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

# Without our own pytest plugin: pytest would import it before the measuring begins.
cover: ## run the tests and measure the branches they take
	$(call environment,dev)
	$(call environment,servers --optional)
	$(BIN)/python -m pytest -p no:adapter --cov --cov-report=term $(ARGS)

soak: ## leave ten thousand streams in every way, and show what is left of them; STREAMS= for another number
	$(call environment,dev)
	SOAK_STREAMS=$(or $(STREAMS),10000) $(BIN)/python -m pytest -q -s -p no:cacheprovider tests/integration/test_soak.py

matrix: ## show what a caller sees of each fault of the network, natively and through the adapter
	$(call environment,dev)
	$(BIN)/python -m pytest -q -s -p no:cacheprovider tests/integration/test_fault_matrix.py -k test_the_table

frameworks: ## run frameworks on both backends, each in its own environment; ONLY= names some, ARGS= goes to pytest
	$(python) -m tests.isolated frameworks $(ONLY) -- $(ARGS)

tracers: ## compare what tracers export natively and through the adapter, each in its own environment; ONLY= and ARGS= as above
	$(python) -m tests.isolated tracers $(ONLY) -- $(ARGS)

guides: ## follow the guides whose examples need packages of their own (FastAPI, Celery); ARGS= goes to pytest
	$(python) -m tests.isolated guides $(ONLY) -- $(ARGS)

apps: ## run published applications natively and through the adapter, each in its own environment; ONLY= names some
	$(python) -m tests.apps.run $(ONLY) $(ARGS)

lanes: ## run the tests on every SDK, HTTP library and Python; ONLY= names some, or is --short; ARGS= goes to pytest
	$(python) -m tests.lanes $(ONLY) -- $(ARGS)

packages: ## scan twenty published packages and change copies of them, against lists made by reading; ONLY= names some, ARGS=--imports also imports what was changed; downloads
	$(call environment,dev)
	$(BIN)/python -m tests.packages.run $(ONLY) $(ARGS)

# The longer form, `ARGS=--all`, tries every list of requirements/ and downloads a lot.
setup-check: ## make environments while newer releases of everything are on offer, with an old pip and the newest
	$(python) -m tests.setup_check $(ARGS)

bench: ## measure what it costs beside the SDK alone, and write bench/RESULTS.md; SHORT=--short only tries it out
	$(call environment,dev)
	$(BIN)/python -m bench $(SHORT)

audit: ## audit a million made-up requests, kill it, and go on; COUNT= for another number
	$(call environment,dev)
	$(BIN)/python -m bench.audit $(or $(COUNT),1000000)

# MkDocs prints news about itself otherwise. Sources are read from this folder, whatever is installed.
mkdocs = NO_MKDOCS_2_WARNING=1 .lanes/docs/bin/python -m mkdocs

docs: ## build the documentation site into build/site, strictly, and check that nothing in it is loaded from elsewhere
	$(call environment,docs)
	$(mkdocs) --quiet build --strict
	$(python) -m tests.docs.site_check build/site

docs-serve: ## show the documentation site while you write
	$(call environment,docs)
	$(mkdocs) serve

spelling: ## check the spelling of documents, docstrings and comments; the tests have misspelt names on purpose
	$(call environment,docs)
	.lanes/docs/bin/codespell *.md requirements cassettes/README.md docs adapter .ci pytest_chat_responses.py mkdocs.yml Makefile pyproject.toml bench

docs-tables: ## write what the documents take from the code: tables, versions, the settings' schema, pictures
	$(call environment,dev)
	UPDATE_DOCS=1 $(BIN)/python -m pytest -q -n 0 tests/docs/test_docs.py
	$(BIN)/python -m tests.docs.settings_types
	$(BIN)/python -m tests.docs.tables
	$(BIN)/python -m tests.docs.integrations
	$(BIN)/python -m tests.docs.pictures

lint: ## check format, style and the import layers
	$(call environment,dev)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: ## check the types
	$(call environment,dev)
	$(BIN)/mypy

fmt: ## format, and mend what can be mended
	$(call environment,dev)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove everything that was made here
	rm -rf .venv .lanes build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
