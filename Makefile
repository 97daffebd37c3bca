# DS2: `make demo` makes a dataset, `make test` runs the tests. Both need python3 and make only.
# Written for GNU make 3.81, which macOS ships.

PYTHON ?= python3
VENV   ?= .venv
DEMO   ?= runs/demo

BIN    := $(VENV)/bin
PARTS  := signatures programs optimizers ds2
CODE   := $(PARTS) tests $(wildcard benchmarks)
INPUTS := pyproject.toml constraints.txt

# A folder that holds files; make looks at these names only through the rules below.
.PHONY: help demo test lint check format clean
.DEFAULT_GOAL := help

help: ## Show these lines
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed ## Make 60 rows with the simulated teacher, in runs/demo
	@rm -rf "$(DEMO)"
	"$(BIN)/ds2" run gsm8k --target 60 --out "$(DEMO)"
	@echo "The dataset is in $(DEMO)/dataset; its card is $(DEMO)/dataset/README.md."

test: $(VENV)/.installed-dev ## Run the tests
	"$(BIN)/python" -m pytest $(ARGS)

lint: $(VENV)/.installed-dev ## Check format, lint, types and the direction of imports
	"$(BIN)/ruff" format --check $(CODE)
	"$(BIN)/ruff" check $(CODE)
	"$(BIN)/mypy"
	"$(BIN)/lint-imports"

check: lint test ## Lint, then test

format: $(VENV)/.installed-dev ## Format the code and mend what ruff can mend
	"$(BIN)/ruff" format $(CODE)
	"$(BIN)/ruff" check --fix $(CODE)

clean: ## Remove the environment and what was built; runs/ stays
	rm -rf "$(VENV)" build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache \
	  .import_linter_cache .hypothesis

# Each stamp is touched after its install came to an end, so that a broken one is done again.
$(VENV)/.installed: $(VENV)/.made $(INPUTS)
	@PYTHON="$(PYTHON)" sh tools.sh install "$(VENV)" .
	@touch "$@"
