# Every target that runs something makes .venv and installs archbench into it first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test slow lint types format check ci train-microworld clean
help:            ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: .venv/ready  ## Run the quick suite and write its report to results/quick/report
	$(BIN)/archbench run suites/quick.yaml
	$(BIN)/archbench report results/quick

test: .venv/ready  ## Run the tests that take minutes
	$(BIN)/python -m pytest

slow: .venv/ready  ## Run the slow tests too
	$(BIN)/python -m pytest -m 'not gpu and not network'

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
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
