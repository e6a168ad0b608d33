# Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from-pyproject
# More arguments for pytest, or what to measure: make test ARGS='-k render', make bench ARGS='chain logs'
ARGS ?=
# The engine of the demo, where the first that answers is not the one: docker, podman, or local for processes.
ENGINE ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-gpu lint bench docs venv clean

help: ## Say what there is.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## Render a stack, start it, ask it a question, take it down; without an engine, as processes.
	@$(BIN)/python compose-examples/demo.py $(ENGINE)

test: $(STAMP) ## Run all tests; those that need an engine that is not here are skipped.
	$(BIN)/python -m pytest $(ARGS)

test-gpu: $(STAMP) ## On a machine with a GPU: find it, start a server on it, show that it works there.
	$(BIN)/python -m pytest -s tests/gpu $(ARGS)

lint: $(STAMP) ## Check style, types and layers.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy compose-examples/demo.py compose-examples/demo_standins.py tests/images/build.py
	$(BIN)/lint-imports

bench: $(STAMP) ## Measure: all, or what ARGS names.
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(STAMP) ## Make the generated parts of the README again.
	$(BIN)/python tests/docs.py

venv: $(STAMP) ## Make .venv, with lcompose and all that its development needs.

$(STAMP): pyproject.toml
	@echo "Making $(VENV) with all that is needed (about half a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
	@echo "Made $(VENV) with $$($(BIN)/python --version) and $$($(BIN)/lcompose --version)."

clean: ## Remove all that these targets made.
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
