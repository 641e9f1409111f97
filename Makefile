# SlicerCMBNet: make help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
SAMPLE := Resources/SampleData/CMBNetSample_swi.nii.gz
# More arguments for pip, for example PIP_ARGS="--find-links /media/wheels --no-index" on a machine without a network.
PIP_ARGS ?=
PYTEST_ARGS ?=
# So many files of the libraries' tests at a time.
PYTEST_WORKERS ?= 2
IN_PARALLEL := --numprocesses $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder
# For the self-tests in Slicer, for example SLICER_TEST_ARGS="--install --pictures /tmp/panels CMBNet".
SLICER_TEST_ARGS ?=

# Tests build Qt widgets and render slices without a screen.
export QT_QPA_PLATFORM ?= offscreen
# One thread for each worker.
test: export OMP_NUM_THREADS ?= 1

.PHONY: help demo test lint test-slicer cmake-lists icons clean distclean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.stamp-run ## detect microbleeds in the sample scan, results in demo/
	@echo "== Detecting microbleeds in $(SAMPLE) (synthetic, made from a real label map)"
	$(BIN)/cmbnet detect $(SAMPLE) -o $(DEMO)
	@echo "== Comparing with the truth of the sample scan"
	$(BIN)/python Testing/demo_score.py $(DEMO)

# The libraries' files run side by side, in the order of Testing/conftest.py. Scene and Panels run one by one, as they end
# whole process trees, and without torch in the process, as Slicer does; PySide6 cannot switch its features on beside it.
test: $(VENV)/.stamp-test ## ruff, mypy and the whole test suite
	@$(BIN)/python Testing/system_libraries.py --install
	@failed=""; \
	echo "== ruff"; $(BIN)/ruff check . || failed="$$failed ruff"; \
	echo "== mypy"; $(BIN)/mypy || failed="$$failed mypy"; \
	echo "== pytest: libraries"; $(BIN)/python -m pytest Testing/Library $(IN_PARALLEL) $(PYTEST_ARGS) || failed="$$failed libraries"; \
	echo "== pytest: scene and panels"; \
	$(BIN)/python -m pytest Testing/Scene Testing/Panels $(PYTEST_ARGS) || failed="$$failed panels"; \
	if [ -n "$$failed" ]; then echo "make test: failed:$$failed"; exit 1; fi

lint: $(VENV)/.stamp-test ## ruff and mypy only
	$(BIN)/ruff check .
	$(BIN)/mypy

test-slicer: ## run the self-tests inside the application: make test-slicer SLICER=/path/to/Slicer
	@if [ -z "$(SLICER)" ]; then echo "Say where Slicer is: make test-slicer SLICER=/path/to/Slicer"; exit 2; fi
	QT_QPA_PLATFORM= "$(SLICER)" --testing --no-splash \
	  --additional-module-paths "$(CURDIR)/CMBNet" "$(CURDIR)/CMBNetTraining" "$(CURDIR)/CMBNetEvaluation" \
	  --python-script "$(CURDIR)/Testing/Slicer/run_self_tests.py" $(SLICER_TEST_ARGS)

cmake-lists: ## rewrite SCRIPTS and RESOURCES of the CMakeLists.txt files from the tree
	$(PYTHON) Testing/update_cmake_lists.py

icons: $(VENV)/.stamp-run ## draw the icons again
	$(BIN)/python Docs/make_icons.py

clean: ## remove results and caches, keep .venv
	rm -rf $(DEMO) build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove .venv as well
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  echo "Python 3.10 or newer is needed, as '$(PYTHON)'. On Debian: apt-get install python3 python3-venv;"; \
	  echo "another one: make PYTHON=/path/to/python3.12 ..."; exit 3; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments. On Debian: apt-get install python3-venv"; exit 3; }
	@echo "== Creating $(VENV) with $$($(PYTHON) --version)"
	$(PYTHON) -m venv $(VENV)

# The stamps make the second run work without a network: pip runs again only after one of the two files changed.
# setuptools is installed first so that the editable install needs no build environment of its own.
define install
	@echo "== Installing $(1) into $(VENV) (versions from constraints.txt; the first time takes some minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt setuptools
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt \
	  --no-build-isolation --editable '$(1)' || { \
	  echo "pip could not install the packages. Is there a network, or a wheel folder given by PIP_ARGS?"; exit 3; }
	@touch $@
endef

$(VENV)/.stamp-run: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,.)

$(VENV)/.stamp-test: pyproject.toml constraints.txt $(VENV)/.stamp-run | $(BIN)/python
	$(call install,.[test$(comma)training$(comma)dicom])

comma := ,
