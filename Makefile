# Two commands do everything: `make leaderboard` and `make test`. Both make the environment first.

PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS := 1

.PHONY: leaderboard test lint docs clean help

help: ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

leaderboard: .venv/run ## run the default track and print the leaderboard
	@$(BIN)/leakboard run

test: .venv/dev lint ## everything that CI runs
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: .venv/dev ## style, types, workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint

docs: .venv/run ## write the generated pages anew
	$(BIN)/leakboard docs

clean: ## remove the environment; results stay
	rm -rf .venv

# Each mark is newer than pyproject.toml once its packages are in.
.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("leakboard needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

.venv/run: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/dev: .venv/run pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
