# The front door: `make` lists what there is. Every target sets up what it needs and is safe to repeat.
PYTHON ?= python3
ARGS ?=
BIN = .venv/bin
# An older Python cannot even read the script, so it is asked for its version first.
SETUP = command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON). Install Python 3.11 or later and name it: make PYTHON=python3.12 setup" >&2; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Invigilo needs Python 3.11 or later; $(PYTHON) is older. Install a newer one and name it: make PYTHON=python3.12 setup" >&2; exit 1; }; \
	$(PYTHON) scripts/setup.py

.DEFAULT_GOAL = help
.PHONY: help setup demo test check format bench spec docs screenshots clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with the command .venv/bin/invigilo
	@$(SETUP)

demo: setup ## a running exam with simulated candidates (ARGS="--candidates 25 --room-size 10 --port 9000 --seconds 120")
	@exec $(BIN)/invigilo demo $(ARGS)

test: ## all tests (ARGS="tests/proctoring -k rooms" for some)
	@$(SETUP) test chromium
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

check: ## linters and types
	@$(SETUP) test check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/basedpyright
	@$(BIN)/python -m scripts.docs --check

format: ## let the formatter have its way
	@$(SETUP) check
	@$(BIN)/ruff check --fix -q . || true
	@$(BIN)/ruff format .

bench: ## the numbers of docs/performance.md (ARGS="pings burst" for some)
	@$(SETUP) test chromium
	@$(BIN)/python -m bench $(ARGS)

spec: ## the numbered checks of the spec that no test carries
	@$(SETUP) test
	@$(BIN)/python -m scripts.spec

docs: ## make the generated pages (docs/settings.md) anew
	@$(SETUP)
	@$(BIN)/python -m scripts.docs

screenshots: ## pictures of every page of a running demo, in screenshots/
	@$(SETUP) test chromium
	@$(BIN)/python -m scripts.screenshots $(ARGS)

clean: ## remove what the tools left behind
	@rm -rf .pytest_cache .ruff_cache .hypothesis screenshots build dist .demo
