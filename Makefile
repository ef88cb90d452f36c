# Two commands do everything: `make leaderboard` and `make test`. Both make the environment first.

PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS := 1

.PHONY: leaderboard test test-slurm lint docs clean help

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

leaderboard: .venv/run ## run the default track and print the leaderboard
	@$(BIN)/leakboard run

test: .venv/dev .venv/browser lint ## everything that CI runs
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations 15

# Its tests wait for a real cluster, on a machine that may be slow: what fails is tried once more,
# alone.
test-slurm: .venv/dev .venv/slurm ## the same workflow on a real SLURM on this machine
	$(BIN)/python -m pytest -m slurm -n 2 --dist worksteal --durations 15 tests/slurm \
		|| $(BIN)/python -m pytest -m slurm -n 1 --last-failed tests/slurm

lint: .venv/dev ## style, types, workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint
	$(BIN)/snakemake --lint --snakefile workflow/Snakefile

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

# The page is tested in a real browser. Where none can be installed, its tests say so and are skipped.
.venv/browser: .venv/bin/python
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome; } > $@ \
		|| { test "$$(id -u)" = 0 && apt-get update --quiet && apt-get install --quiet --yes chromium \
		&& command -v chromium > $@; } \
		|| { rm -f $@; echo "no Chromium here, and none could be installed: the page is not tested"; }

# SLURM, its database for accounting, and munge. Where they cannot be installed, the tests say so
# and are skipped. No daemon that the packages start is used.
SLURM := slurm-client slurmctld slurmd munge slurmdbd slurm-wlm-mysql-plugin mariadb-server
.venv/slurm: .venv/run pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[slurm]'
	@PATH="$$PATH:/usr/sbin"; { command -v slurmctld && command -v slurmdbd && command -v mariadbd; } > $@ \
		|| { test "$$(id -u)" = 0 && apt-get update --quiet \
		&& DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends $(SLURM) \
		&& command -v slurmctld > $@; } \
		|| { rm -f $@; echo "NO SLURM HERE, and none could be installed: apt-get install $(SLURM)"; }
