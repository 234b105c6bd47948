# Every target that runs something makes .venv and installs archbench into it first, in the versions that
# constraints/newest.txt names: those that the tests have passed with.
PYTHON ?= python3
BIN := .venv/bin
# Old releases of some packages use what newer ones of others call deprecated.
OLDEST := -W default::DeprecationWarning tests/engine tests/models tests/training tests/test_constraints.py

.PHONY: help demo test slow oldest lock lint types format check ci train-microworld clean
help:            ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.venv/ready: pyproject.toml constraints/newest.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints/newest.txt --editable '.[dev]'
	@touch $@

.venv-oldest/ready: pyproject.toml constraints/oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --constraint constraints/oldest.txt --editable '.[test]'
	@touch $@

demo: .venv/ready  ## Run the quick suite and write its report to results/quick/report
	$(BIN)/archbench run suites/quick.yaml
	$(BIN)/archbench report results/quick

test: .venv/ready  ## Run the tests that take minutes
	$(BIN)/python -m pytest

slow: .venv/ready  ## Run the slow tests too
	$(BIN)/python -m pytest -m 'not gpu and not network'

oldest: .venv-oldest/ready  ## Run the tests of engine, models and training with the oldest admitted versions
	.venv-oldest/bin/python -m pytest $(OLDEST)

lock:            ## Renew the locks of tested versions in constraints/
	$(PYTHON) constraints/lock.py

lint: .venv/ready  ## Check style and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready  ## Check the types of the package
	$(BIN)/mypy

format: .venv/ready  ## Rewrite the sources in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint types test  ## Lint, types and tests

ci:              ## What decides whether a change lands: a fresh environment, then everything
	bash .ci/run

train-microworld: .venv/ready  ## Train the shipped family again, in place
	$(BIN)/archbench train microworld --out archbench/registry/catalog

clean:           ## Remove the environment and caches
	rm -rf .venv .venv-oldest .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
