# The front door: `make` lists what there is. Every target sets up what it needs and is safe to repeat.
PYTHON ?= python3
ARGS ?=
BIN = .venv/bin

.DEFAULT_GOAL = help
.PHONY: help setup demo test check format bench spec docs screenshots clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with the command .venv/bin/invigilo
	@$(PYTHON) scripts/setup.py

demo: setup ## a running exam with simulated candidates (ARGS="--candidates 25 --room-size 10 --port 9000 --seconds 120")
	@exec $(BIN)/invigilo demo $(ARGS)

test: ## all tests (ARGS="tests/proctoring -k rooms" for some)
	@$(PYTHON) scripts/setup.py test chromium
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

check: ## linters and types
	@$(PYTHON) scripts/setup.py test check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/basedpyright
	@$(BIN)/python -m scripts.docs --check

format: ## let the formatter have its way
	@$(PYTHON) scripts/setup.py check
	@$(BIN)/ruff check --fix -q . || true
	@$(BIN)/ruff format .

bench: ## the numbers of docs/performance.md (ARGS="pings burst" for some)
	@$(PYTHON) scripts/setup.py test chromium
	@$(BIN)/python -m bench $(ARGS)

spec: ## the numbered checks of the spec that no test carries
	@$(PYTHON) scripts/setup.py test
	@$(BIN)/python -m scripts.spec

docs: ## make the generated pages (docs/settings.md) anew
	@$(PYTHON) scripts/setup.py
	@$(BIN)/python -m scripts.docs

screenshots: ## pictures of every page of a running demo, in screenshots/
	@$(PYTHON) scripts/setup.py test chromium
	@$(BIN)/python -m scripts.screenshots $(ARGS)

clean: ## remove what the tools left behind
	@rm -rf .pytest_cache .ruff_cache .hypothesis screenshots build dist .demo
