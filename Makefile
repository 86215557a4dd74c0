# `make` alone lists the targets. Variables are given as in `make serve PORT=8001`.

HOST ?= 127.0.0.1
PORT ?= 8000
PRESET ?= mnist
DATA ?=
VENV ?= .venv
# Options for pip, such as an index with a CPU build of torch (see CONTRIBUTING.md).
PIP_ARGS ?=
# Options for pytest, vaetrain or the benchmarks, whichever the target runs.
ARGS ?=
PYTHON ?= $(firstword $(foreach python,python3.11 python3.12 python3.13 python3,\
	$(shell $(python) -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $(python))))
# What `make lock` resolves for; the oldest first.
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

setup: $(ALL) ## install everything that tests and training need into .venv

serve: $(BASE) ## serve the bundled model on HOST (127.0.0.1) and PORT (8000)
	@echo "vaeserve starts on http://$(HOST):$(PORT)/ (routes to try: http://$(HOST):$(PORT)/docs)"
	@exec $(BIN)/python -m app --host $(HOST) --port $(PORT)

test: $(ALL) ## run the whole test suite (ARGS for pytest)
	$(BIN)/python -m pytest $(ARGS)

check: $(ALL) ## lint, formatting, types and import directions
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

train: $(ALL) ## train, measure and export PRESET (mnist), from DATA if given
	$(BIN)/python -m training run $(PRESET) $(if $(DATA),--data $(DATA)) $(ARGS)

reproduce: $(ALL) ## train PRESET (mnist) with another seed, compare its figure with the told one
	$(BIN)/python -m training run $(PRESET) --seed 1 --workdir runs/reproduce-$(PRESET) --resume \
		$(if $(DATA),--data $(DATA)) $(ARGS)
	$(BIN)/python -m training.evaluation.reproduction runs/reproduce-$(PRESET) docs/results/models.json \
		--preset $(PRESET)

bench: $(ALL) ## measure the service beside naive servers and ceilings, 16 minutes
	$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(ALL) ## the same beside other model servers too, 40 minutes
	$(BIN)/python -m benchmarks.peers install bentoml litserve mlserver ray $(PIP_ARGS)
	$(BIN)/python -m benchmarks --peers $(ARGS)

bench-train: $(ALL) ## measure training beside a bare loop, pythae and Lightning; see docs/performance.md
	$(BIN)/python -m benchmarks.peers install trainers $(PIP_ARGS)
	$(BIN)/python -m benchmarks.training $(ARGS)
	$(BIN)/python -m benchmarks.report.document

docs-check: $(ALL) ## compare the documents with the code
	$(BIN)/python -m pytest tests/test_docs.py tests/training/test_docs.py $(ARGS)

lock: $(ALL) ## resolve all dependencies anew and write constraints.txt
	$(BIN)/python deploy/lock.py $(LOCK_PYTHONS)

# Serving needs no torch. Whoever installed everything has the base too, so that `serve` after
# `test` reinstalls nothing; a changed pyproject or constraints makes both stale.
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
