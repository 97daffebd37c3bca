# DS2: `make demo` makes a dataset, `make test` runs the tests.
# Needs python3 (3.11 to 3.13) and make; written so that GNU make 3.81, which macOS has, reads it.

PYTHON ?= python3

BIN    := .venv/bin
INPUTS := pyproject.toml constraints.txt
RANGE  := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

.PHONY: help demo test lint check format example clean
.DEFAULT_GOAL := help
.NOTPARALLEL:

help: ## Show these lines
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' Makefile

demo: .venv/.installed ## Make 60 rows with the simulated teacher: no key, no network
	@rm -rf runs/demo
	$(BIN)/ds2 run gsm8k --target 60 --out runs/demo
	@echo 'Load it with: datasets.load_dataset("runs/demo/dataset")'

test: .venv/.installed-dev .venv/.browser ## Run the tests; ARGS="-k vote" goes to pytest
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/.installed-dev ## Check format, style, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## Lint, then test

format: .venv/.installed-dev ## Format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

example: .venv/.installed-dev .venv/.browser ## Make the report in docs/example anew, with its pictures
	$(BIN)/python docs/example/make.py

clean: ## Remove the environment and caches; runs/ stays
	rm -rf .venv build dist ds2_instruct.egg-info .mypy_cache .ruff_cache .pytest_cache \
	  .import_linter_cache .hypothesis

# The stamps stand for finished installs: a second call finds them, a broken install leaves none,
# and a changed dependency makes them old. The package is installed in place, so code needs none.
.venv/.installed: $(BIN)/python $(INPUTS)
	@echo 'Installing DS2 and its libraries into .venv: some 700 MB, a minute or a few.'
	$(call install,.)
	@touch .venv/.installed

.venv/.installed-dev: $(BIN)/python $(INPUTS)
	@echo 'Installing DS2, its libraries and the tools for its tests into .venv: some 1 GB.'
	$(call install,.[dev])
	@touch .venv/.installed .venv/.installed-dev

# The report is tried in a browser; where none can be had, those tests are skipped and it is said.
.venv/.browser: .venv/.installed-dev
	@$(BIN)/python tests/browser.py
	@touch .venv/.browser

install = @if command -v uv >/dev/null 2>&1; then \
	  uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '$(1)'; \
	else \
	  { $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip; } && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --constraint constraints.txt --editable '$(1)'; \
	fi

$(BIN)/python:
	@for python in "$(PYTHON)" python3.13 python3.12 python3.11; do \
	  if "$$python" -c '$(RANGE)' 2>/dev/null; then \
	    echo "Making .venv with $$("$$python" --version)."; \
	    rm -rf .venv; \
	    if command -v uv >/dev/null 2>&1; then \
	      exec uv venv --quiet --python "$$python" .venv; \
	    fi; \
	    exec "$$python" -m venv .venv; \
	  fi; \
	done; \
	echo "DS2 needs Python 3.11, 3.12 or 3.13: $(PYTHON) is another version or missing, and there" \
	  "is no python3.13, python3.12 or python3.11 on PATH. Install one of them, or name it:" \
	  "make demo PYTHON=/path/to/python3.12" >&2; \
	exit 1
