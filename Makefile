# Two commands do everything: make repro, make test. They need Python 3.11 or later and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help repro test lint cluster paper clean

help:
	@echo "make repro                 the default experiment, from images to figures (dvc repro)"
	@echo "make test                  all tests"
	@echo "make lint                  style and types"
	@echo "make cluster SHARDS=N      the same with scores and attacks as N jobs on Slurm (LAUNCHER=joblib: on this machine;"
	@echo "                           JOBS=... for settings of the jobs, such as hydra.launcher.partition=gpu)"
	@echo "make paper IMAGENET=DIR    the paper's experiment on your ImageNet validation set (OVERRIDES=... for less of it,"
	@echo "                           DRY_RUN=1 for its plan alone: images, gradients, expected time, disk; SHARDS=N for jobs)"
	@echo "make clean                 removes the environment, caches and everything that repro can make again"

# Compiled once here, since every stage is a process of its own that would otherwise compile what it imports.
# uv installs in a quarter of the time and shares files between environments; where it is missing, pip fetches it.
$(BIN)/ready: pyproject.toml constraints.txt
	command -v uv >/dev/null || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv; }
	uv venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[pipeline,dev]'
	touch $@

MADE := Report: results/report.html; figures: results/figures, tables: results/aggregate/table.md (dvc plots show)

repro: $(BIN)/ready
	dvc repro
	@echo "$(MADE)"

# Whatever the jobs finish is in the store, so that the last command only fits, aggregates and draws.
LAUNCHER ?= slurm
SWEEP = hydra/launcher=$(LAUNCHER) hydra.sweep.dir=multirun/shards hydra.sweep.subdir='$${shard}'

cluster: $(BIN)/ready
	@test "$(SHARDS)" -gt 0 2>/dev/null || { echo "make cluster SHARDS=N: '$(SHARDS)' is no number of jobs" >&2; exit 2; }
	dvc repro model
	python -m pipeline.shard -m $(SWEEP) shards=$(SHARDS) 'shard=range($(SHARDS))' $(JOBS)
	dvc repro
	@echo "$(MADE)"

# Two tests at once, one thread each: on two cores faster than one test with two threads.
test: $(BIN)/ready
	OMP_NUM_THREADS=1 python -m pytest -n 2 --dist worksteal

lint: $(BIN)/ready
	ruff check .
	ruff format --check .
	mypy

# Of the default's cells, those of the paper's first-order experiment.
PAPER_CELLS := {identity: 'defense=identity', jpeg: 'defense=jpeg', bit_depth: 'defense=bit_depth', \
	quantize: 'defense=quantize', png: 'defense=png', quantize_no_bpda: 'defense=quantize bpda=false'}

# With SHARDS, networks alone are made here, and the jobs do the rest.
PAPER_STAGES = $(if $(SHARDS),model)
PAPER = $(strip experiment=imagenet_densenet121 data.root=$(abspath $(IMAGENET)) $(OVERRIDES))

paper: $(BIN)/ready
	@test -d "$(IMAGENET)" || { echo "make paper IMAGENET=DIR: '$(IMAGENET)' is no folder; name that of your ImageNet validation set" >&2; exit 2; }
ifdef DRY_RUN
	python -m pipeline.plan $(PAPER) '~cells' "+cells=$(PAPER_CELLS)"
else
	dvc exp run $(PAPER_STAGES) --set-param 'overrides="$(PAPER)"' \
		--set-param 'networks="model=densenet121"' --set-param '~cells' --set-param "+cells=$(PAPER_CELLS)"
	$(if $(SHARDS),$(MAKE) cluster)
	@echo "Report: results/report.html; back to the default: git checkout params.yaml"
endif

clean:
	rm -rf $(VENV) store data/prepared models results/score/*/ results/attack/*/ multirun outputs .dvc/cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
