# Each target installs what it needs into $(VENV), once: the exact versions of constraints.txt.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DOCS := $(VENV)/.installed-docs

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help reproduce check lint test full lab refresh results site site-test bench comparison clean distclean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

reproduce: $(INSTALLED) ## run all notebooks with their defaults, two at once, into a new folder below runs/
	$(BIN)/erlib run --jobs 2 --threads 1

check: lint ## check style, layout and types, and run the fast tests
	$(BIN)/pytest -m "not slow" tests erlib

lint: $(INSTALLED) ## check style, layout and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

test: $(INSTALLED) ## run all tests, and all notebooks against their stored outputs
	$(BIN)/pytest

full: $(INSTALLED) ## run all notebooks by the full profile, into a new folder (hours)
	$(BIN)/erlib run --profile full

lab: $(INSTALLED) ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks/00_overview.ipynb

refresh: $(INSTALLED) ## renew the stored outputs of all notebooks
	$(BIN)/erlib refresh

results: $(INSTALLED) ## write the published results into the tables of docs/results.md
	$(BIN)/erlib results

site: $(INSTALLED_DOCS) site/node_modules ## build the pages, with all that they need, into site/html
	$(BIN)/sphinx-build -q -W --keep-going -c docs/site -d site/doctrees . site/html || { \
	    rm -r site/doctrees; exit 1; }  # or the pages that were warned of would count as read
	@echo 'site/html/index.html'

site-test: site ## open every page in Chromium, which is installed if it is missing
	docs/site/browser.sh
	$(BIN)/pytest tests/repository/test_site.py tests/repository/test_site_pages.py

bench: $(INSTALLED) ## measure time and memory of updates, passes, and the time to an accuracy
	$(BIN)/python benchmarks/one_update.py
	$(BIN)/python benchmarks/regress_memory.py
	$(BIN)/python benchmarks/wide_tables.py
	$(BIN)/python benchmarks/convolution_pass.py
	$(BIN)/python benchmarks/sweep_plan.py
	$(BIN)/python benchmarks/time_to_accuracy.py
	$(BIN)/python benchmarks/stream.py
	$(BIN)/python benchmarks/shards.py processes

comparison: $(INSTALLED) ## compare ER on small tables with other methods and the published package (2 h)
	$(BIN)/python -m pip install -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/tabular.py

clean: ## remove runs/, site/ and caches; data/ and .venv stay
	rm -rf runs site .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find erlib tests notebooks benchmarks \( -name __pycache__ -o -name .ipynb_checkpoints \) \
	    -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf $(VENV)

# The stamp is made last, so that an interrupted installation is taken up again.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo 'erlib needs Python 3.11 or newer. If you have one: make PYTHON=python3.12 ...'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	    echo 'This Python cannot make environments. On Debian or Ubuntu: apt install python3-venv'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e '.[test]'
	@touch $@

$(INSTALLED_DOCS): $(INSTALLED)
	$(BIN)/python -m pip install -c constraints.txt -e '.[docs]'
	@touch $@

# MathJax: the version and the checksum of package-lock.json.
site/node_modules: docs/site/package.json docs/site/package-lock.json
	@command -v npm >/dev/null || { \
	    echo 'The site needs npm, for MathJax. On Debian or Ubuntu: apt install npm'; exit 1; }
	mkdir -p site
	cp $^ site
	npm ci --prefix site --no-audit --no-fund
	@touch $@
