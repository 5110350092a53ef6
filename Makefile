# Needs Python 3.11 to 3.13, make and a package index; everything else goes into .venv at pinned versions.

VENV := .venv
BIN := $(VENV)/bin

SUPPORTED = (3, 11) <= sys.version_info[:2] <= (3, 13)
usable = $(if $(1),$(shell $(1) -c 'import sys; sys.exit(not $(SUPPORTED))' >/dev/null 2>&1 && echo yes))
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(if $(call usable,$(name)),$(name))))

# The first pins what is installed, the second what builds nearfar (newer versions of pip keep the two apart).
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test lint bench

help: ## print this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r target purpose; do \
	  printf '%-12s%s\n' "$$target" "$$purpose"; done

setup: $(VENV)/.with-offline,dev ## install everything that tests and checks need

demo: $(VENV)/.with-offline,serve ## train on Python's own standard library and show that the model got better
	$(BIN)/nearfar demo --out run --overwrite

test: setup ## run the tests
	$(BIN)/pytest --numprocesses 2 --dist loadfile

lint: setup ## check style, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup ## run every benchmark's quick form (three minutes each)
	@set -e; for script in $(wildcard benchmarks/*/run.py); do echo "$$script"; $(BIN)/python $$script --quick; done

# One stamp for each set of extras, so that the demo does not wait for the tools of the tests.
$(VENV)/.with-%: pyproject.toml constraints.txt
	$(if $(call usable,$(PYTHON)),,$(error expected Python 3.11, 3.12 or 3.13, found $(or $(PYTHON),none); \
	  install one or name it: make $(firstword $(MAKECMDGOALS)) PYTHON=/path/to/python3.11))
	@echo "Installing nearfar with its extras $* into $(VENV); a minute or two."
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --editable '.[$*]'
	@touch $@
