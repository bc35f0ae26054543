# The main commands are make repro and make test. They need Python 3.11 or later and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help environment repro verify test lint docs notebooks package experiment cluster paper cifar10 imagenet-sample mnist weights clean

help:
	@echo "make repro                  the default experiments, from images to figures and report (dvc repro)"
	@echo "make verify                 compare results/ with the committed numbers, within the limits of docs/same-numbers.md"
	@echo "make test                   all tests"
	@echo "make lint                   style, spelling, prose and types"
	@echo "make docs                   the documentation, site/index.html"
	@echo "make notebooks              run the notebooks of the documentation"
	@echo "make package                wheel and source distribution in dist/, each tested in an empty environment"
	@echo "make experiment EXPERIMENT=NAME  one experiment, a file of conf/experiment (OVERRIDES=... for other settings,"
	@echo "                            DRY_RUN=1 to print only its plan: images, gradients, expected time, disk)"
	@echo "make cluster EXPERIMENT=NAME SHARDS=N  the same, each cell as N jobs on Slurm (JOBS=... for settings of the jobs,"
	@echo "                            such as hydra.launcher.partition=gpu; LAUNCHER=processes: on this machine)"
	@echo "make paper IMAGENET=DIR     the paper's experiment on your ImageNet validation set (SHARDS=N, OVERRIDES, DRY_RUN)"
	@echo "make cifar10                the paper's question on a DenseNet for CIFAR-10 (DATA=DIR WEIGHTS=FILE: your own copies)"
	@echo "make imagenet-sample DATA=DIR  the same on photographs, with two networks of 1000 classes (val/<wnid>/, squeezenet1_1-imagenet.pth)"
	@echo "make mnist                  the published MNIST table, on networks trained by the authors' recipe (DATA=DIR)"
	@echo "make weights                train the digits networks of data/weights (cached in store/)"
	@echo "make clean                  remove the environment, caches and everything that make repro creates"

# Bytecode is compiled once at installation, since every stage is a separate process.
# uv installs four times as fast and shares files between environments; pip installs it if missing.
# TORCH=cpu, or a CUDA version such as cu130, selects that build of PyTorch instead of the one in constraints.txt.
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

# Two tests in parallel with one thread each: on two cores faster than one test with two threads.
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

# Packages that only the documentation needs. Warnings are errors; the commands and the
# Python of its pages are run by tests/test_readme.py.
$(BIN)/docs: $(BIN)/ready
	$(GET_UV)
	$(INSTALL) --python $(BIN)/python --editable '.[docs]'
	touch $@

docs: $(BIN)/docs
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	@echo "Documentation: site/index.html"

# Run the notebooks of the documentation and save them with their output, which the site shows.
notebooks: $(BIN)/docs
	jupyter execute --inplace docs/notebooks/*.ipynb

# The wheel is built from the source distribution, so both are tested.
package: $(BIN)/ready
	$(GET_UV)
	rm -rf dist
	python -m build --installer uv
	for made in dist/*.whl dist/*.tar.gz; do uv venv --quiet --clear --python $(PYTHON) dist/empty && \
		uv pip install --quiet --constraint constraints.txt --python dist/empty "$$made" && (cd / && "$(CURDIR)/dist/empty/bin/python" -W error -c 'import clever') || exit 1; done
	rm -rf dist/empty

# An experiment outside DVC, with the same commands. Cluster jobs fill the store, so the plain commands after them only
# read it and fit.
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
	@test "$(SHARDS)" -gt 0 2>/dev/null || { echo "make cluster SHARDS=N: '$(SHARDS)' is not a number of jobs" >&2; exit 2; }
	$(MAKE) experiment

paper: $(BIN)/ready
	@test -d "$(IMAGENET)" || { echo "make paper IMAGENET=DIR: '$(IMAGENET)' is not a folder; give that of your ImageNet validation set" >&2; exit 2; }
	$(MAKE) experiment EXPERIMENT=imagenet_densenet121 OVERRIDES='data.root=$(abspath $(IMAGENET)) $(OVERRIDES)'

# Downloads data set and checkpoint, unless DATA (a folder with one subfolder per class) and WEIGHTS (the checkpoint) are
# given.
CIFAR10 = $(if $(DATA),data=folder data.root=$(abspath $(DATA))) $(if $(WEIGHTS),weights=file \
	weights.path=$(abspath $(WEIGHTS)) weights.sha256=$(shell sed -n 's/^sha256: //p' conf/weights/densenet_bc_cifar10.yaml) weights.key=state_dict)

cifar10: $(BIN)/ready
	$(MAKE) experiment EXPERIMENT=cifar10_densenet OVERRIDES="$(strip $(CIFAR10)) $(OVERRIDES)"

# Photographs and SqueezeNet's weights from DATA; the other network from packages that nothing else needs.
imagenet-sample: $(BIN)/ready
	@test -d "$(DATA)" || { echo "make imagenet-sample DATA=DIR: '$(DATA)' is not a folder; give one with val/<wnid>/ and squeezenet1_1-imagenet.pth" >&2; exit 2; }
	uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[pipeline,dev,lite]'
	$(MAKE) experiment EXPERIMENT=imagenet_sample OVERRIDES='data.root=$(abspath $(DATA)) $(OVERRIDES)'

# Downloads the data set unless its files are in DATA. Training and scores take hours and can be resumed.
MNIST = $(if $(DATA),data.root=$(abspath $(DATA)))

mnist: $(BIN)/ready
	$(MAKE) experiment EXPERIMENT=mnist_published OVERRIDES="$(MNIST) $(OVERRIDES)"
	$(MAKE) experiment EXPERIMENT=mnist_published_cnn OVERRIDES="$(MNIST) $(OVERRIDES)"

# The MNIST networks take hours: use the command in each JSON file.
weights: $(BIN)/ready
	python -m pipeline.prepare data=digits
	python -m pipeline.publish experiment=defenses weights=trained threads=1
	python -m pipeline.publish experiment=orders weights=trained threads=1
	python -m pipeline.publish experiment=orders weights=trained threads=1 hydra.sweeper.params.model=densenet_softplus
	python -m pipeline.publish experiment=exact weights=curvature_penalty threads=1
	python -m pipeline.publish experiment=trained weights=trained threads=1 'hydra.sweeper.params.model="small_densenet_noise,small_densenet_adversarial"'
	python -m pipeline.publish experiment=seeds weights=trained threads=1 'hydra.sweeper.params.model="small_densenet_1,small_densenet_2,small_densenet_3,small_densenet_4"'

clean:
	git clean -fdXq results  # keeps the committed raw results of experiments that took hours
	rm -rf $(VENV) site dist store data/prepared models multirun outputs .dvc/cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
