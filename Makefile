# make demo | test | test-all | test-matrix | test-distributed | lint | format | docs | docs-tables | constraints | clean
# Every target makes its own virtual environment first; PYTHON=python3.10 chooses the Python.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python3 python; do \
	if $$p mxnetseg/preflight.py >/dev/null 2>&1; then echo $$p; exit; fi; done; echo python3)
VENV := .venv
RUN := $(VENV)/bin/python
export WANDB_MODE ?= offline

# what is installed for a Python, in exact versions
INSTALL = $(RUN) -m pip install --quiet --disable-pip-version-check --no-deps \
	-r constraints/python$$($(RUN) -c 'import sys; print("%d.%d" % sys.version_info[:2])')

.PHONY: help demo test test-all test-matrix test-distributed lint format docs docs-tables constraints clean

help:
	@echo "make demo      draw a small data set, train, evaluate and predict on it (about 5 minutes)"
	@echo "make test      lint and tests"
	@echo "make test-all  the tests that take longer as well"
	@echo "make test-matrix  the tests on every Python there is, with the oldest and the newest NumPy for each (hours)"
	@echo "make test-distributed  build Horovod in an environment of its own, and run its tests (Python 3.8 to 3.11; half an hour)"
	@echo "make lint      check formatting, style, types and which room imports which;  make format  mend them"
	@echo "make docs      build the documentation into site/, strictly (Python 3.10 or newer)"
	@echo "make docs-tables  write what is made from the code in docs/: commands, recipe keys, data sets, models"
	@echo "make constraints   write constraints/ anew after a change of requirements*.txt; UPGRADE=1 takes newer releases"
	@echo "make clean     remove the virtual environment"

demo: $(VENV)/.ready
	$(RUN) -m mxnetseg demo

test: lint
	$(RUN) -m pytest -q -n auto --maxprocesses 4 -m "not slow"

test-all: lint
	$(RUN) -m pytest -q -n auto --maxprocesses 4

test-matrix:
	$(PYTHON) tools/matrix.py

test-distributed: $(VENV)-horovod/.ready
	$(VENV)-horovod/bin/python -m pytest -q -m horovod

lint: $(VENV)/.ready-dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
# NumPy's own types change from one release to the next; the code is checked against those of the oldest, 1.23
	@if $(RUN) -c 'import sys; sys.exit(sys.version_info >= (3, 12))'; then echo $(VENV)/bin/mypy; $(VENV)/bin/mypy; \
	else echo "types are checked on Python 3.11 and older alone: make clean, then make lint PYTHON=python3.11"; fi
	$(VENV)/bin/lint-imports

format: $(VENV)/.ready-dev
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# .venv-docs/bin/mkdocs serve shows it while you write
docs: $(VENV)-docs/.ready
	NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build
	@echo "site/index.html"

docs-tables: $(VENV)/.ready-dev
	$(RUN) -m tools.docs

constraints: $(VENV)/.ready-dev
	$(RUN) -m pip install --quiet --disable-pip-version-check uv
	$(RUN) -m tools.constraints $(if $(UPGRADE),--upgrade)

clean:
	rm -rf $(VENV) $(VENV)-docs $(VENV)-horovod site

$(VENV)/.ready: $(filter-out %-dev.txt,$(wildcard constraints/*.txt))
	@$(PYTHON) mxnetseg/preflight.py
	$(PYTHON) -m venv $(VENV)
	$(INSTALL).txt
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready $(wildcard constraints/*-dev.txt)
	$(INSTALL)-dev.txt
	touch $@

# Horovod's build imports MXNet without our help, so NumPy must be 1.23: Python 3.8 to 3.11
$(VENV)-horovod/.ready: RUN := $(VENV)-horovod/bin/python
$(VENV)-horovod/.ready: $(wildcard constraints/*.txt)
	$(PYTHON) -m venv $(VENV)-horovod
	$(INSTALL).txt
	$(INSTALL)-dev.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check "cmake<4" "setuptools<70" wheel packaging cffi cloudpickle psutil
	$(RUN) -c "import numpy; exit(numpy.__version__ > '1.24' and 'Horovod needs NumPy 1.23: make test-distributed PYTHON=python3.11')"
	PATH="$(CURDIR)/$(VENV)-horovod/bin:$$PATH" HOROVOD_WITH_MXNET=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 \
		HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_TENSORFLOW=1 \
		$(RUN) -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps horovod==0.28.1
	touch $@

$(VENV)-docs/.ready: docs/requirements.txt
	$(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	touch $@
