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
# What models are made of: label maps $(MAPS)01.nii.gz to 16, a real scan to implant microbleeds in; and where to.
MAPS ?= ../shared/data/label_maps/training_seg_
SCAN ?= ../shared/data/t2star_1p5T/t2starw.nii.gz
MODELS ?= models
# For the self-tests in Slicer, for example SLICER_TEST_ARGS="--install --pictures /tmp/panels CMBNet".
SLICER_TEST_ARGS ?=

# Tests build Qt widgets and render slices without a screen.
export QT_QPA_PLATFORM ?= offscreen
# One thread for each worker.
test: export OMP_NUM_THREADS ?= 1

.PHONY: help demo test lint test-slicer anatomy-model lesion-model cmake-lists icons clean distclean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.stamp-run ## detect microbleeds in the sample scan, results in demo/
	@echo "== Detecting microbleeds in $(SAMPLE) (synthetic, made from a real label map)"
	@rm -f $(DEMO)/$(basename $(basename $(notdir $(SAMPLE))))_*
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

# Twelve heads to learn from, four to measure on.
head = $(addsuffix .nii.gz,$(addprefix $(MAPS),$(1)))
LEARNT := $(call head,01 02 03 04 05 06 07 08 09 10 11 12)
HELD_OUT := $(call head,13 14 15 16)

anatomy-model: $(VENV)/.stamp-test ## the anatomy model from label maps (12 minutes on a GPU)
	$(BIN)/python -m CMBNetTrainingLib.anatomy_training $(LEARNT) --validation $(HELD_OUT) -o $(MODELS)/anatomy-run \
	  --minutes 11.6 --bfloat16 --learning-rate 2e-3 --bundle $(MODELS)/cmbnet-anatomy

# Seeds of scans by which nothing is chosen.
NEW := 20261128 20261129

# Each step keeps what is done, so the same command goes on after a stop.
lesion-model: $(VENV)/.stamp-test ## the lesion model from label maps (a day on a CPU)
	$(BIN)/cmbnet train default --label-maps $(LEARNT) $(HELD_OUT) -o $(MODELS)/all
	for slices in thin thick; do \
	  $(BIN)/cmbnet train $$slices --manifest $(MODELS)/all/synthetic/manifest.csv \
	    --init $(MODELS)/all/checkpoints/last.safetensors -o $(MODELS)/$$slices || exit; done
	$(BIN)/cmbnet synthesize $(SCAN) --implant 14 --scans 4 --seed 1 -o $(MODELS)/implanted
	$(BIN)/cmbnet synthesize $(SCAN) --implant 0 --scans 1 -o $(MODELS)/untouched
	for seed in $(NEW); do \
	  $(BIN)/cmbnet synthesize $(HELD_OUT) --validation-maps 4 --scans 4 --microbleeds 9 \
	    --slice-mm 0.8 1 1.5 2 2.5 3 4 5 6.5 2.5 4.5 6 --seed $$seed -o $(MODELS)/new-$$seed || exit; done
	$(BIN)/cmbnet export $(MODELS)/thin --thick $(MODELS)/thick --checkpoint last --license LICENSE \
	  --check $(foreach kind,implanted untouched $(addprefix new-,$(NEW)),$(MODELS)/$(kind)/manifest.csv) -o $(MODELS)/cmbnet-lesions

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
