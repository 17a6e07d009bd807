# `make help` lists the targets. Everything runs inside $(VENV); a fresh machine needs Python >= 3.11 and make only.
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
PYTEST_ARGS ?=

RUN := $(VENV)/bin/python
PIP_INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SCRIPTS := train_supernet.py search.py retrain.py export.py
NOW := date +%s

.PHONY: help install install-dev install-engines quickstart quickstart-job test fuzz lint types bench clean distclean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1	/' | expand -t 18

install: $(VENV)/.runtime  ## create the environment and install what a run needs
install-dev: $(VENV)/.dev  ## the same, and what tests and checks need
install-engines: $(VENV)/.engines  ## the same, and the engines that exports are tried in (OpenVINO, MNN, ncnn)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: '$(PYTHON)' is no Python >= 3.11; try make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 2; }

# The stamps make installing incremental: pip runs again only when a requirement may have changed.
$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the runtime requirements into $(VENV) (minutes the first time)"
	@started=$$($(NOW)); $(PIP_INSTALL) --editable . \
		&& touch $@ && echo "installing took $$(( $$($(NOW)) - started )) s"

$(VENV)/.dev: $(VENV)/.runtime
	@echo "installing the development requirements into $(VENV)"
	@started=$$($(NOW)); $(PIP_INSTALL) --editable '.[dev]' \
		&& touch $@ && echo "installing took $$(( $$($(NOW)) - started )) s"

$(VENV)/.engines: $(VENV)/.dev
	@echo "installing the engines into $(VENV)"
	@$(PIP_INSTALL) --editable '.[dev,engines]' && touch $@

quickstart: install  ## the whole job on embedded digits: train, search, retrain, export
	@started=$$($(NOW)); $(MAKE) --no-print-directory quickstart-job \
		&& echo "quickstart: the job took $$(( $$($(NOW)) - started )) s (installing not counted)"

quickstart-job:
	$(RUN) train_supernet.py --config config_file/train/quickstart.yml --overwrite
	$(RUN) search.py --config config_file/search/quickstart.yml --overwrite
	$(RUN) retrain.py --config config_file/retrain/quickstart.yml --overwrite
	$(RUN) export.py --config config_file/export/quickstart.yml --overwrite
	@echo
	@grep -E '^\| (accuracy|cost|file) \|' runs/quickstart/export/card.md
	@echo "model:  runs/quickstart/export/model.onnx, described by card.md beside it"
	@echo "report: runs/quickstart/search/report.html"

# A worker that dies ends the tests: waiting for what it had left to do, pytest-xdist would never come to an end.
test: install-dev  ## run the tests
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(WORKERS) --dist loadfile --max-worker-restart 0 $(PYTEST_ARGS)

FUZZ_ARGS ?= --count 10000
fuzz: install-dev  ## damage 10,000 files of every kind and count what comes of it (FUZZ_ARGS="--count 100 --seed 7")
	OMP_NUM_THREADS=1 $(RUN) -m tests.fuzz $(FUZZ_ARGS)

lint: install-dev  ## check style and formatting
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

# Two runs, because search.py and search/ have one module name between them.
types: install-dev  ## check types
	$(RUN) -m mypy
	$(RUN) -m mypy $(SCRIPTS)

bench: install-dev  ## run every benchmark, one after the other
	@status=0; for file in benchmarks/[a-z]*.py; do \
		echo "== $$file"; \
		$(RUN) -m "benchmarks.$$(basename "$$file" .py)" || status=1; \
	done; exit $$status

clean:  ## remove caches and build results, never runs/ or the environment
	rm -rf build dist ./*.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -path './$(VENV)' -prune -o -path ./runs -prune -o -type d -name __pycache__ -exec rm -rf {} +

distclean: clean  ## remove the environment too
	rm -rf $(VENV)
