# Two commands do everything: make repro, make test. They need Python 3.11 or later and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help environment repro verify test lint docs notebooks package experiment cluster paper cifar10 imagenet-sample mnist weights clean

help:
	@echo "make repro                  the default experiments, from images to figures and report (dvc repro)"
	@echo "make verify                 whether results/ holds the committed numbers, within the limits of docs/same-numbers.md"
	@echo "make test                   all tests"
	@echo "make lint                   style, spelling, prose and types"
	@echo "make docs                   the documentation, site/index.html"
	@echo "make notebooks              the notebooks of the documentation, executed anew"
	@echo "make package                wheel and source distribution, dist/, each tried in an empty environment"
	@echo "make experiment EXPERIMENT=NAME  one experiment, a file of conf/experiment (OVERRIDES=... for other settings,"
	@echo "                            DRY_RUN=1 for its plan alone: images, gradients, expected time, disk)"
	@echo "make cluster EXPERIMENT=NAME SHARDS=N  the same, each cell as N jobs on Slurm (JOBS=... for settings of the jobs,"
	@echo "                            such as hydra.launcher.partition=gpu; LAUNCHER=processes: on this machine)"
	@echo "make paper IMAGENET=DIR     the paper's experiment on your ImageNet validation set (SHARDS=N, OVERRIDES, DRY_RUN)"
	@echo "make cifar10                the same question on a DenseNet for CIFAR-10 (DATA=DIR WEIGHTS=FILE: both from here)"
	@echo "make imagenet-sample DATA=DIR  and on photographs, two networks of 1000 classes (val/<wnid>/, squeezenet1_1-imagenet.pth)"
	@echo "make mnist                  the published table of MNIST, on networks of its authors' recipe (DATA=DIR)"
	@echo "make weights                trains the digits' networks of data/weights (from store/ where it has them)"
	@echo "make clean                  removes the environment, caches and everything that repro can make again"

# Compiled once here, since every stage is a process of its own that would otherwise compile what it imports.
# uv installs in a quarter of the time and shares files between environments; where it is missing, pip fetches it.
# TORCH=cpu, or a version of CUDA such as cu130: PyTorch's own build for it, in place of that of constraints.txt.
EXTRAS ?= pipeline,dev
GET_UV = command -v uv >/dev/null || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv; }
INSTALL = uv pip install --quiet --compile-bytecode --constraint constraints.txt $(if $(TORCH),--torch-backend $(TORCH))
$(BIN)/ready: pyproject.toml constraints.txt
	$(GET_UV)
	uv venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	$(INSTALL) --python $(BIN)/python --editable '.[$(EXTRAS)]'
	touch $@

environment: $(BIN)/ready

repro: $(BIN)/ready
	dvc repro
	@echo "Report: results/report.html; tables and figures: results/*/tables, results/*/figures (dvc plots show)"

verify: $(BIN)/ready
	python -m pipeline.verify

# Two tests at once, one thread each: on two cores faster than one test with two threads.
test: $(BIN)/ready
	OMP_NUM_THREADS=1 python -m pytest -n 2 --dist worksteal

# Retired words and phrases: append a line "old->better" to docs/retired_words.txt (one word or identifier, which
# codespell finds in any case) or to docs/retired_phrases.txt (several words).
TEXTS = README.md CONTRIBUTING.md Makefile docs src tests conf
lint: $(BIN)/ready
	ruff check .
	ruff format --check .
	codespell
	codespell --dictionary docs/retired_words.txt --skip '*.ipynb,*.js,*.json,*.lock,*.pyc,docs/retired_*.txt,*.egg-info' $(TEXTS)
	python docs/readability.py $(TEXTS)
	hadolint Containerfile
	mypy

# What the documentation alone needs, which neither results nor tests do. Warnings are errors; the commands and the
# Python of its pages are run by tests/test_readme.py.
$(BIN)/docs: $(BIN)/ready
	$(GET_UV)
	$(INSTALL) --python $(BIN)/python --editable '.[docs]'
	touch $@

docs: $(BIN)/docs
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	@echo "Documentation: site/index.html"

# Executes the notebooks of the documentation, and saves them with their output, which the site shows.
notebooks: $(BIN)/docs
	jupyter execute --inplace docs/notebooks/*.ipynb

# The wheel comes from the source distribution, so that what is tried is what that holds.
package: $(BIN)/ready
	$(GET_UV)
	rm -rf dist
	python -m build --installer uv
	for made in dist/*.whl dist/*.tar.gz; do uv venv --quiet --clear --python $(PYTHON) dist/empty && \
		uv pip install --quiet --constraint constraints.txt --python dist/empty "$$made" && (cd / && "$(CURDIR)/dist/empty/bin/python" -W error -c 'import clever') || exit 1; done
	rm -rf dist/empty

# An experiment outside DVC, by the same commands. What jobs on a cluster finish is in the store, so that the plain
# commands behind them only read and fit.
EXPERIMENT ?= defenses
LAUNCHER ?= slurm
RUN = experiment=$(EXPERIMENT) $(OVERRIDES)
JOB = hydra/launcher=$(LAUNCHER) shards=$(SHARDS) 'shard=range($(SHARDS))' $(JOBS)

experiment: $(BIN)/ready
ifdef DRY_RUN
	python -m pipeline.plan $(RUN)
else
	python -m pipeline.prepare $(RUN)
	python -m pipeline.model $(RUN)
ifdef SHARDS
	python -m pipeline.score -m $(RUN) $(JOB)
	python -m pipeline.attack -m $(RUN) $(JOB)
endif
	python -m pipeline.score -m $(RUN)
	python -m pipeline.attack -m $(RUN)
	python -m pipeline.aggregate $(RUN)
	python -m pipeline.figures $(RUN)
	python -m pipeline.report $(RUN)
endif

cluster: $(BIN)/ready
	@test "$(SHARDS)" -gt 0 2>/dev/null || { echo "make cluster SHARDS=N: '$(SHARDS)' is no number of jobs" >&2; exit 2; }
	$(MAKE) experiment

paper: $(BIN)/ready
	@test -d "$(IMAGENET)" || { echo "make paper IMAGENET=DIR: '$(IMAGENET)' is no folder; name that of your ImageNet validation set" >&2; exit 2; }
	$(MAKE) experiment EXPERIMENT=imagenet_densenet121 OVERRIDES='data.root=$(abspath $(IMAGENET)) $(OVERRIDES)'

# The set by torchvision and the checkpoint by its public address, or both from here: DATA, a folder with one of each
# class, and WEIGHTS, the checkpoint's file.
CIFAR10 = $(if $(DATA),data=folder data.root=$(abspath $(DATA))) $(if $(WEIGHTS),weights=file \
	weights.path=$(abspath $(WEIGHTS)) weights.sha256=$(shell sed -n 's/^sha256: //p' conf/weights/densenet_bc_cifar10.yaml) weights.key=state_dict)

cifar10: $(BIN)/ready
	$(MAKE) experiment EXPERIMENT=cifar10_densenet OVERRIDES="$(strip $(CIFAR10)) $(OVERRIDES)"

# Photographs and SqueezeNet's file from DATA; the other network by its packages, which nothing else needs.
imagenet-sample: $(BIN)/ready
	@test -d "$(DATA)" || { echo "make imagenet-sample DATA=DIR: '$(DATA)' is no folder; name one with val/<wnid>/ and squeezenet1_1-imagenet.pth" >&2; exit 2; }
	uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[pipeline,dev,lite]'
	$(MAKE) experiment EXPERIMENT=imagenet_sample OVERRIDES='data.root=$(abspath $(DATA)) $(OVERRIDES)'

# The set by torchvision, or its files from DATA. Training and scores take hours, and go on where they were.
MNIST = $(if $(DATA),data.root=$(abspath $(DATA)))

mnist: $(BIN)/ready
	$(MAKE) experiment EXPERIMENT=mnist_published OVERRIDES="$(MNIST) $(OVERRIDES)"
	$(MAKE) experiment EXPERIMENT=mnist_published_cnn OVERRIDES="$(MNIST) $(OVERRIDES)"

# Those of MNIST, hours, by the command in each one's JSON.
weights: $(BIN)/ready
	python -m pipeline.prepare data=digits
	python -m pipeline.publish experiment=defenses weights=trained threads=1
	python -m pipeline.publish experiment=orders weights=trained threads=1
	python -m pipeline.publish experiment=orders weights=trained threads=1 hydra.sweeper.params.model=densenet_softplus
	python -m pipeline.publish experiment=exact weights=curvature_penalty threads=1
	python -m pipeline.publish experiment=trained weights=trained threads=1 'hydra.sweeper.params.model="small_densenet_noise,small_densenet_adversarial"'
	python -m pipeline.publish experiment=seeds weights=trained threads=1 'hydra.sweeper.params.model="small_densenet_1,small_densenet_2,small_densenet_3,small_densenet_4"'

clean:
	git clean -fdXq results  # not the raw results in git, of experiments that took hours
	rm -rf $(VENV) site dist store data/prepared models multirun outputs .dvc/cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
