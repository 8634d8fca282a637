# Everything runs in an environment of its own that uv makes from uv.lock. Where uv is missing, it is fetched first;
# nothing but python3 and make has to be there.
#
#   make demo ARGS="--source my.jsonl --base-model ./my-model"
#   make test ARGS="tests/unit/jobs -k lease"
#   PYTHON=3.12 make test        another interpreter, in an environment beside the first one

PYTHON ?= $(UV_PYTHON)
ARGS ?=

ifeq ($(strip $(PYTHON)),)
VENV := .venv
else
VENV := .venv-$(subst /,-,$(patsubst /%,%,$(strip $(PYTHON))))
endif

BIN := $(VENV)/bin
READY := $(VENV)/.synced
LOCAL_UV := .tools/uv/bin/uv
# A shim of a version manager may be on PATH and still not run.
UV := $(or $(shell uv --version >/dev/null 2>&1 && command -v uv),$(LOCAL_UV))
CODE := src tests benchmarks

# uv looks along PATH, where pyenv shows the selected interpreter only.
space := $() $()
PYENV := $(subst $(space),:,$(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/*/bin))

export UV_PROJECT_ENVIRONMENT := $(VENV)
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint format bench clean print-python

help:
	@echo "make demo       the whole way from data to a judged adapter, through the real server (ARGS=\"--help\")"
	@echo "make test       the tests (ARGS=\"tests/unit -k lease\")"
	@echo "make test-slow  the tests that take minutes"
	@echo "make lint       ruff, mypy, import-linter"
	@echo "make format     sort imports, lay out code"
	@echo "make bench      every benchmark, one after the other"
	@echo "make clean      remove what was built and cached; environments and demo-output stay"
	@echo
	@echo "PYTHON=3.12 make ...  uses that interpreter (3.11 to 3.13), in an environment of its own"

demo: $(READY)
	@$(BIN)/tunesmith demo $(ARGS)

test: $(READY)
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-slow: $(READY)
	@$(BIN)/python -m pytest -m slow $(ARGS)
	@$(if $(strip $(ARGS)),,$(BIN)/python -m pytest -n auto -m hypothesis --hypothesis-profile=default)

lint: $(READY)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix-only $(CODE)
	$(BIN)/ruff format $(CODE)

bench: $(READY)
	@set -e; for file in benchmarks/bench_*.py benchmarks/quality.py benchmarks/throughput.py; do echo; echo "== $$file"; \
	  $(BIN)/python -m "benchmarks.$$(basename "$$file" .py)"; done

clean:
	rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# For .ci/run.
print-python: $(READY)
	@echo $(BIN)/python

$(READY): pyproject.toml uv.lock | $(UV)
	@echo "Installing the locked packages into $(VENV) (a few GB the first time, most of it PyTorch) ..."
	@PATH="$$PATH:$(PYENV)" $(UV) sync --frozen --extra train $(if $(strip $(PYTHON)),--python "$(PYTHON)") || { \
	  echo "The environment could not be made; the reason stands above."; \
	  echo "Python 3.11, 3.12 or 3.13 is needed: uv looks for one and otherwise downloads it."; \
	  echo "To name one yourself: PYTHON=/path/to/python3.12 make $(MAKECMDGOALS)"; \
	  exit 1; }
	@touch $@

$(LOCAL_UV):
	@echo "uv is not installed: fetching it into .tools/uv (python3 -m venv, then pip install uv) ..."
	@rm -rf .tools/uv
	@python3 -m venv .tools/uv && .tools/uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9.17' || { \
	  rm -rf .tools/uv; \
	  echo "That failed; the reason stands above. Debian and Ubuntu need the package python3-venv for it;"; \
	  echo "or install uv yourself (https://docs.astral.sh/uv/) and run make again."; \
	  exit 1; }
