# Every command of this project. `make` alone lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
# A run is a fresh process: let Python keep the byte code it has compiled.
unexport PYTHONDONTWRITEBYTECODE

PYTHON := .venv/bin/python
WORKERS ?= 2
ARGS ?=

##@ The three to start with

.PHONY: demo
demo: base ## Install what running needs, then trade one accelerated session. ARGS="..." is handed on
	@$(PYTHON) -m trading_assets.cli demo $(ARGS)

.PHONY: up
up: base ## Leave the practice world open with its Dagster UI. ARGS="--speed 10" is handed on
	@$(PYTHON) -m trading_assets.cli up $(ARGS)

.PHONY: test
test: full ## Install everything, then run the test suite. ARGS="-k name" is handed on to pytest
	@$(PYTHON) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not seeds and not patient and not faults" --ignore trading_assets_tests/faults --ignore trading_assets_tests/browser --ignore trading_assets_tests/clients $(ARGS)

##@ More tests

.PHONY: test-faults
test-faults: full ## Inject every failure through real parts and kill processes; build/faults.html says what came of it
	@rm -f build/faults.json
	@$(PYTHON) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "faults and not seeds and not matrix" --ignore trading_assets_tests/browser --scorecard=build $(ARGS)

.PHONY: test-patient
test-patient: full ## The tests that take long: whole days again, recorded ones, worlds that are left open
	@$(PYTHON) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "patient and not faults and not seeds" --ignore trading_assets_tests/browser $(ARGS)

.PHONY: test-matrix
test-matrix: full ## Kill a process at every crash point under every fault of the broker; test-faults runs a covering part
	@$(PYTHON) -m pytest -n $(WORKERS) trading_assets_tests/chaos/test_matrix.py --scorecard=build $(ARGS)

.PHONY: test-browser
test-browser: full chromium ## Read and use the Dagster UI of a finished day through a real browser
	@$(PYTHON) -m pytest trading_assets_tests/browser $(ARGS)

.PHONY: test-clients
test-clients: full clients ## Let the broker's own unmodified clients, Python and JavaScript, live a day on the practice exchange
	@$(PYTHON) -m pytest trading_assets_tests/clients $(ARGS)

.PHONY: test-seeds
test-seeds: full ## Repeat the random properties over many seeds
	@$(PYTHON) -m pytest -n $(WORKERS) -m seeds $(ARGS)

.PHONY: soak
soak: base ## Leave a world open for half an hour at speed 10, kill its services in turn, and judge it
	@$(PYTHON) tools/soak.py --minutes 30 --speed 10 --kill $(ARGS)

.PHONY: chaos
chaos: full ## Random fault sequences for an hour; what fails is shrunk. ARGS="--minutes 10 --seed 7" is handed on
	@$(PYTHON) -m trading_assets_tests.chaos $(ARGS)

.PHONY: bench
bench: full ## Measure speed and memory on large inputs; it judges nothing. ARGS="--only features" chooses
	@$(PYTHON) tools/bench.py $(ARGS)

.PHONY: bench-news
bench-news: full ## How fast and how right the news are. ARGS="--only clusters" chooses a section
	@$(PYTHON) tools/bench_news.py $(ARGS)

##@ Before a commit

.PHONY: check
check: full ## Lint, format, types, import contracts, licences and leaks
	@echo "ruff check"; $(PYTHON) -m ruff check .
	@echo "ruff format"; $(PYTHON) -m ruff format --check .
	@echo "mypy"; $(PYTHON) -m mypy
	@echo "import contracts"; .venv/bin/lint-imports --no-logo
	@echo "licences and leaks"; $(PYTHON) tools/hygiene.py

.PHONY: format
format: full ## Put the code into the one format and mend what can be mended by itself
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

.PHONY: pins
pins: full ## Write constraints.txt from .venv, after a deliberate upgrade whose tests passed
	@$(PYTHON) tools/pins.py

.PHONY: screenshots
screenshots: full chromium ## Take the pictures of the Dagster UI in docs/images anew
	@TRADING_ASSETS_SCREENSHOTS=docs/images $(PYTHON) -m pytest trading_assets_tests/browser/test_pictures.py $(ARGS)

##@ Housekeeping

.PHONY: base
base: ## Create .venv with what running needs (make demo does it by itself)
	@sh tools/bootstrap.sh base

.PHONY: full
full: ## Create .venv with everything (make test does it by itself)
	@sh tools/bootstrap.sh test

.PHONY: chromium
chromium: ## Install Debian's chromium where it is missing (make test-browser does it by itself)
	@sh tools/chromium.sh

.PHONY: clients
clients: full ## Make the environments of the broker's other clients (make test-clients does it by itself)
	@sh tools/clients.sh

.PHONY: clean
clean: ## Remove .venv and what tools left behind; worlds in .trading_assets stay
	rm -rf .venv .venv.lock .venv-clients .venv-clients.lock trading_assets_tests/clients/node/node_modules build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find trading_assets trading_assets_tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z][a-z-]*:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo
