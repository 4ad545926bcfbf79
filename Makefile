# Commands of the project. `make` alone lists them. Windows: the README gives each as a plain command.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo up test lint torture bench schemas clean

help:
	@echo 'make demo    the closed loop on a seeded synthetic market, from nothing to a judged model'
	@echo 'make up      everything running: daemon, simulated terminal, Dagster, MLflow, docs (Ctrl-C stops it)'
	@echo 'make test    lint, types, import contracts, all tests'
	@echo 'make torture kill, damage, flood and starve it for minutes, and print what it survived'
	@echo 'make bench   every benchmark beside its floor or peer'
	@echo 'make schemas regenerate JSON Schemas, dbt sources and pages that come from the record types'
	@echo 'make setup   the virtual environment alone'

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo 'Python 3.11, 3.12 or 3.13 is needed; name one with: make PYTHON=python3.11'; exit 1; }
	@echo 'Installing locked packages into .venv (once, about a minute and a half) ...'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/trading prepare
	@touch $@

demo: setup
	$(BIN)/trading demo

up: setup
	$(BIN)/trading up

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

torture: setup
	$(BIN)/python tests/torture

bench: setup
	$(BIN)/python tests/bench

schemas: setup
	$(BIN)/trading schemas

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache dbt_project/target
