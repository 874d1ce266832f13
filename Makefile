# `make help` lists what there is. Everything runs in $(VENV), made on first use.

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
BIN = $(VENV)/bin
READY = $(VENV)/.ready
DOCS_READY = $(VENV)/.ready-docs

.DEFAULT_GOAL := help
.PHONY: help demo test test-all coverage test-wheel test-cpus test-versions check format docs bench fuzz study default-model web-runtime clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	@echo "installing into $(VENV): a few minutes, about 6 GB"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e ".[dev]"
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null || true # as pip would, but on all CPUs; a few are templates
	@touch $@

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	@touch $@

demo: $(READY) ## draw penguins, fine-tune, export FP32 and INT8, predict with a heat map
	@BIN=$(abspath $(BIN)) sh tools/demo.sh $(DEMO)

test: $(READY) ## run the tests, one process per CPU; without the campaigns, which take minutes each
	@$(BIN)/python tools/fetch_web_runtime.py || echo "the tests that run a model in a browser are skipped"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal -m "not campaign"

test-all: $(READY) ## run all tests, campaigns too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal

coverage: $(READY) ## run all tests and count the branches they take; an error below the number in pyproject.toml
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal --cov --cov-report=term:skip-covered --cov-report=html:coverage

test-wheel: $(READY) ## build the wheel, install it in a clean environment with [cpu] only, predict, explain
	sh tools/test_wheel.sh $(abspath $(BIN))/python

test-cpus: $(READY) ## the same answers on an AVX2 laptop, a Raspberry Pi 4 and a Pi 5, emulated
	$(BIN)/python tools/cpus

test-versions: $(READY) ## the same pixels and answers with the oldest, middle and newest Pillow, numpy, onnxruntime
	OMP_NUM_THREADS=1 $(BIN)/python tools/versions $(VERSIONS)

check: $(READY) ## lint, format, types, and which package may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS_READY) ## the site, into site/; a broken link or a missing docstring is an error
	$(BIN)/python tools/cli_reference.py --check
	$(BIN)/python tools/docstrings.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict # not --quiet: that also hides warnings from --strict

bench: $(READY) ## one photo from the shell, against a hand-written onnxruntime script
	$(BIN)/python benchmarks/one_photo.py

fuzz: $(READY) ## 20,000 damaged photos and model files; FUZZ="--seed 7 --door 100000" for more
	$(BIN)/python tools/fuzz $(FUZZ)

study: $(READY) ## what each part of the default recipe is worth, into docs/study.md (about an hour; needs our photos)
	$(BIN)/python benchmarks/study $(STUDY)

default-model: $(READY) ## make the model in the wheel; PHOTOS=folder of everyday photos to calibrate with
	$(BIN)/python tools/make_default_model.py $(PHOTOS)

web-runtime: $(READY) ## fetch what `edgeclf web` needs from npm, once, into runtime/edgeclf/page/vendor
	$(BIN)/python tools/fetch_web_runtime.py

clean: ## remove the environment and what the demo made
	rm -rf $(VENV) $(DEMO) dist site coverage .coverage
