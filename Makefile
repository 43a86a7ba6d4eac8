# Everything that evalratchet needs on a fresh Debian machine with Python 3.11, a JDK 17 and Maven.
# `make run` starts it, `make test` tests it; both set up what they need first, and may be repeated.

PYTHON ?= python3
TRACES ?=
BIN := .venv/bin
export PYTHONPATH :=

.DEFAULT_GOAL := help
.PHONY: help setup run test test-servers lint types contracts format lock bench clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.complete ## make the environment in .venv from pinned, hashed requirements

.venv/.complete: requirements/uv.txt requirements/dev.txt pyproject.toml
	@PYTHON=$(PYTHON) sh deploy/make/setup.sh

run: setup ## start all four services, send sample traces (or TRACES=file.jsonl), say where to look
	@sh deploy/make/run.sh $(TRACES)

test: setup test-servers lint types contracts ## run every check and every test, on real servers
	@echo "==> tests: SQLite, real Kafka, real PostgreSQL, Chromium"
	@sh deploy/make/tests.sh $(PYTEST_ARGS)

test-servers: ## install what the tests start: PostgreSQL, Chromium, Node.js, Kafka's jars
	@PYTHON=$(BIN)/python sh deploy/make/test-servers.sh

lint: setup ## style, with ruff
	@echo "==> lint"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup ## types, with mypy strict
	@echo "==> types"
	@$(BIN)/mypy

contracts: setup ## who may import whom, with import-linter
	@echo "==> import contracts"
	@$(BIN)/lint-imports

format: setup ## let ruff put the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: setup ## pin the newest versions that pyproject.toml allows, with hashes and no addresses
	@sh deploy/make/lock.sh

bench: setup ## run every benchmark; single ones: .venv/bin/python benchmarks/NAME.py
	@for file in benchmarks/[a-z]*.py; do echo "==> $$file"; $(BIN)/python $$file || exit 1; done

clean: ## remove the environment and caches; data in .evalratchet stays
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
