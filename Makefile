# Matchcut: `make help` lists what there is. Everything is set up on first use, into .venv.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SHELL := /bin/bash

# The names `pipeline`, `models` and `flows` are common: nothing in the working directory may stand in for ours.
export PYTHONSAFEPATH := 1
# Compiled once: half the start-up time of every command.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE
# Paths reach the commands through the environment, as they were typed: `value` keeps make from reading a `$$` in them.
OUT ?= out
override IN := $(value IN)
override OUT := $(value OUT)
override DATA := $(value DATA)
override EVENTS := $(value EVENTS)
export IN OUT DATA EVENTS
EVERY ?= 60

.DEFAULT_GOAL := help
.PHONY: help setup demo run flow serve train test check bench study test-gpu bench-gpu clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with everything in it (TORCH_INDEX=URL takes torch and torchvision from there)

$(READY): pyproject.toml constraints.txt
	@set -e; \
	if command -v uv >/dev/null; then \
		test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) $(VENV); \
		install="uv pip install --quiet --python $(BIN)/python"; \
	else \
		test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
		install="$(BIN)/python -m pip install --quiet --disable-pip-version-check"; \
	fi; \
	echo "installing into $(VENV) (torch is large: a few minutes on first use)"; \
	pins=constraints.txt; \
	if [ -n "$(TORCH_INDEX)" ]; then \
		$$install --index-url "$(TORCH_INDEX)" torch torchvision; \
		pins=$(VENV)/constraints.txt; grep -vE '^(torch|torchvision|triton|nvidia-.*|cuda-.*)==' constraints.txt > $$pins; \
	fi; \
	$$install --constraint $$pins --editable ".[dev]"
	@touch $(READY)

demo: $(READY) ## real footage: learn an event, find it in a programme, check found against known
	@PYTHONPATH="$(CURDIR)" $(BIN)/python -m benchmarks.demo

run: $(READY) ## IN=videos OUT=out: the main job on a folder
	@test -n "$$IN" || { echo 'usage: make run IN=videos [OUT=out]'; exit 2; }
	@$(BIN)/matchcut run --out "$$OUT" -- "$$IN"

flow: $(READY) ## IN=videos OUT=out: the same under Prefect, with an embedded server
	@test -n "$$IN" || { echo 'usage: make flow IN=videos [OUT=out]'; exit 2; }
	@$(BIN)/python -m flows.highlights --out "$$OUT" -- "$$IN"

serve: $(READY) ## IN=videos OUT=out EVERY=60: watch a folder, on a schedule
	@test -n "$$IN" || { echo 'usage: make serve IN=videos [OUT=out] [EVERY=60]'; exit 2; }
	@$(BIN)/python -m flows.deployments --out "$$OUT" --every "$(EVERY)" --in="$$IN"

train: $(READY) ## DATA=folder EVENTS="dunk goal" OUT=model.safetensors: learn labels of your own
	@test -n "$$DATA" -a "$$OUT" != out || { echo 'usage: make train DATA=folder [EVENTS="dunk goal"] OUT=model.safetensors'; exit 2; }
	@$(BIN)/matchcut train --out "$$OUT" $${EVENTS:+--events $$EVENTS} -- "$$DATA"

test: $(READY) ## the tests, without those that need a GPU
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not gpu" -n 2 --dist loadfile

check: $(READY) ## lint, format, types, hooks
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pre-commit validate-config .pre-commit-config.yaml

bench: $(READY) ## five benchmarks, each against its peers in one interleaved run
	@for name in decode infer memory export end_to_end; do \
		PYTHONPATH="$(CURDIR)" $(BIN)/python -m benchmarks.$$name || exit 1; \
	done

study: $(READY) ## the classical questions on real pictures, measured anew: docs/study.md (an hour)
	@PYTHONPATH="$(CURDIR)" $(BIN)/python -m benchmarks.study

test-gpu: $(READY) ## the tests that need a GPU; fails where there is none
	@$(BIN)/python -m pytest -q -m gpu

bench-gpu: $(READY) ## inference on the GPU; fails where there is none
	@PYTHONPATH="$(CURDIR)" $(BIN)/python -m benchmarks.infer --gpu

clean: ## remove what make made here, but no results
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
