# kodo: `make run` sets everything up and answers; `make help` lists the rest.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
B := .venv/bin

.PHONY: help run test setup setup-dev check lock clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 22

setup: ## .venv, locked dependencies, the default model
	@$(PYTHON) scripts/bootstrap.py run

setup-dev: ## setup, and what the tests and linters need
	@$(PYTHON) scripts/bootstrap.py dev

run: setup ## Set up, serve on 127.0.0.1:8000 (PORT= to change) and stream a first answer
	@$(B)/kodo serve --host $(HOST) --port $(PORT) --hello

test: setup-dev ## Set up and run the tests
	@$(B)/python -m pytest -n 2 --dist loadgroup -m "not clients and not bench" $(ARGS)

check: setup-dev ## Linters, mypy strict, import-linter
	@$(B)/ruff check .
	@$(B)/ruff format --check .
	@$(B)/mypy
	@$(B)/lint-imports --no-cache

lock: ## Write requirements/*.txt anew from pyproject.toml
	@scripts/lock

clean: ## Remove the virtual environment and caches (KODO_HOME stays)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
