# Needs Python 3.11 or newer and a package index; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
USER_STAMP := .venv/.user-installed-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
# Two processes, each with whole files, so that fixtures of a file are made once. On two cores this takes 0.6 of the time.
PARALLEL := -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test full_test test_thorough attack unit_test integration_test slow_test wheel_test format lint type clean

help:  ## Show the targets
	@grep -hE '^[a-z_]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-18s %s\n", $$1, $$2 }'

demo: $(USER_STAMP)  ## Install, fetch the demo model, and ask it about a sample handbook
	@$(BIN)/gptoss demo

test: unit_test integration_test  ## Run the tests of every day: under ten minutes

full_test: test slow_test  ## Run all tests

unit_test: $(STAMP)  ## Run the tests that need no model and no network
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow" tests/unit_tests

test_thorough: export GPTOSS_THOROUGH = 1
test_thorough: full_test  ## Run all tests with ten times as many examples

integration_test: $(STAMP)  ## Run the tests with the real demo model, without the slow ones
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow" tests/integration_tests

slow_test: $(STAMP)  ## Run the tests that take long
	$(BIN)/python -m pytest $(PARALLEL) -m slow tests

attack: $(STAMP)  ## Attack a server, the readers, the audit log and downloads for less than three minutes
	$(BIN)/python -m scripts.attack

wheel_test: $(STAMP)  ## Install the wheel into an empty environment and use it there
	$(BIN)/python scripts/check_wheel.py

format: $(STAMP)  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP)  ## Check style, and report signs of code that is hard to read
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python scripts/report_style.py

type: $(STAMP)  ## Check types
	$(BIN)/mypy

clean:  ## Remove the files that the targets above create in this folder
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.3"

$(USER_STAMP): pyproject.toml constraints.txt | .venv/bin/python
	@test -e $(STAMP) || $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[rag,demo,serve]"
	@touch $@

$(STAMP): pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[rag,demo,serve,dev]"
	@touch $@
