# `make` alone lists the targets. Set variables as in `make serve PORT=8001`.

HOST ?= 127.0.0.1
PORT ?= 8000
PRESET ?= mnist
DATA ?=
VENV ?= .venv
# Options for pip, such as an index with the CPU build of torch (see CONTRIBUTING.md).
PIP_ARGS ?=
# Options for the program that the target runs: pytest, vaetrain or a benchmark.
ARGS ?=
PYTHON ?= $(firstword $(foreach python,python3.11 python3.12 python3.13 python3,\
	$(shell $(python) -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $(python))))
# The interpreters that `make lock` resolves for, oldest first.
LOCK_PYTHONS ?= python3.11 python3.12

BIN := $(VENV)/bin
BASE := $(VENV)/.base-installed
ALL := $(VENV)/.all-installed
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--constraint constraints.txt $(PIP_ARGS)

.PHONY: help setup serve test check train reproduce bench bench-peers bench-train docs-check lock
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

setup: $(ALL) ## install serving, training and tests into .venv

serve: $(BASE) ## serve the bundled models on HOST (127.0.0.1) and PORT (8000)
	@echo "vaeserve starts on http://$(HOST):$(PORT)/ (try its routes at http://$(HOST):$(PORT)/docs)"
	@exec $(BIN)/python -m app --host $(HOST) --port $(PORT)

test: $(ALL) ## run the whole test suite and list skipped tests (ARGS for pytest)
	$(BIN)/python -m pytest $(ARGS)

check: $(ALL) ## check lint, formatting, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

train: $(ALL) ## train, measure and export PRESET (mnist), from DATA if given
	$(BIN)/python -m training run $(PRESET) $(if $(DATA),--data $(DATA)) $(ARGS)

reproduce: $(ALL) ## train PRESET (mnist) with another seed and compare with the documented bound
	$(BIN)/python -m training run $(PRESET) --seed 1 --workdir runs/reproduce-$(PRESET) --resume \
		$(if $(DATA),--data $(DATA)) $(ARGS)
	$(BIN)/python -m training.evaluation.reproduction runs/reproduce-$(PRESET) docs/results/models.json \
		--preset $(PRESET)

bench: $(ALL) ## compare the service with naive servers and upper limits, 16 minutes
	$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(ALL) ## also compare with other model servers, 40 minutes
	$(BIN)/python -m benchmarks.peers install bentoml litserve mlserver ray $(PIP_ARGS)
	$(BIN)/python -m benchmarks --peers $(ARGS)

bench-train: $(ALL) ## compare training with a bare loop, pythae and Lightning
	$(BIN)/python -m benchmarks.peers install trainers $(PIP_ARGS)
	$(BIN)/python -m benchmarks.training $(ARGS)
	$(BIN)/python -m benchmarks.report.document

docs-check: $(ALL) ## compare the documentation with the code
	$(BIN)/python -m pytest tests/test_docs.py tests/test_protocols_docs.py tests/training/test_docs.py $(ARGS)

lock: $(ALL) ## resolve all dependencies again and write constraints.txt
	$(BIN)/python deploy/lock.py $(LOCK_PYTHONS)

# Serving needs no torch. Installing everything also marks the base as installed, so `make serve` after
# `make test` reinstalls nothing. A change of pyproject.toml or constraints.txt makes both stale.
$(BASE): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the service; the first time takes a minute or two."
	$(PIP_INSTALL) --editable .
	@touch $@

$(ALL): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing training and tests; the first time takes several minutes and about 2 GB."
	$(PIP_INSTALL) --editable '.[train,dev]'
	@touch $(BASE) $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with ensurepip was found. Install one \
	(on Debian and Ubuntu also its python3-venv), or name one: make PYTHON=/path/to/python" >&2; \
	exit 1; }
	$(PYTHON) -m venv $(VENV)
