# Everything goes through scripts/environment.py, which makes .venv once. Relative paths only, so
# that a checkout whose path holds spaces works.
PYTHON ?= python3
RUN := .venv/bin/python
# One more than the cores here: now and then a test waits, and whole stacks share the cores.
PYTEST_WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help environment bases bench-learning paper demo up down test test-long check compose-check format reference contract screenshots crash-points simulation state-machine bench bench-demo chaos system-calls leaks bench-rounds bench-models bench-reads bench-events clean

help: ## show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

environment: ## make .venv with everything (the others do it by themselves)
	@command -v "$(PYTHON)" >/dev/null || { echo "tapestry: no $(PYTHON) here: install Python 3.11 or newer, or name it with make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" scripts/environment.py

demo: environment ## a whole federation on real data, all processes local, with a table at the end
	@$(RUN) -m cli demo

up: environment ## the local stack in the foreground, until Ctrl-C
	@$(RUN) -m cli up

down: environment ## end the stack that `up` started, and wait until all is gone
	@$(RUN) -m cli down

test: environment ## all tests but the long ones, against a real Postgres and Valkey
	@$(RUN) -m pytest -n $(PYTEST_WORKERS) -m "not long" --durations=25 --durations-min=20

test-long: environment ## the long ones: the tutorial, chaos, leaks, system calls, more algorithms as services (about 15 minutes)
	@$(RUN) -m pytest -n $(PYTEST_WORKERS) -m long

check: environment ## linter, formatter, type checker
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy .

compose-check: environment ## build the images and run jobs under podman: all on one machine, and clients on hosts of their own
	@$(RUN) -m scripts.compose_check

format: environment ## let the formatter and the linter mend what they can
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

crash-points: environment ## kill every process at every named point, one by one; RECORD=1 keeps the figures
	@$(RUN) -m tests.chaos.crash_points
simulation: environment ## the decisions against a seeded network: EVENTS=10000000 SEED=1 RECORD=1
	@$(RUN) -m tests.support.simulation --events $(or $(EVENTS),1000000) --seed $(or $(SEED),1) $(if $(RECORD),--record)
state-machine: environment ## STEPS=300000 SEED=1: the server against its invariants; RECORD=1 writes the page
	@$(RUN) -m tests.chaos.state_machine --steps $(or $(STEPS),300000) --seed $(or $(SEED),1) $(if $(RECORD),--record)

screenshots: environment ## the docs' pictures of the page, made by its test on a whole stack
	@mkdir -p docs/images
	@TAPESTRY_SCREENSHOTS=docs/images $(RUN) -m pytest -n 0 tests/acceptance/test_page_of_a_job.py

contract: environment ## requests made of the API's contract, with Postgres and without: EXAMPLES=50 for each operation
	@TAPESTRY_CONTRACT_EXAMPLES=$(or $(EXAMPLES),50) $(RUN) -m pytest -n 0 tests/integration/server/test_server_contract.py

reference: environment ## write the pages of docs/reference that are made of the code
	@$(RUN) -m docs.pages

bench: environment ## the server's memory while it aggregates
	@$(RUN) bench/aggregation_memory.py

bench-demo: environment ## the demo's federation with more rounds and three seeds (10 to 25 minutes)
	@$(RUN) examples/demo/prepare.py --out .tapestry/bench-demo --cache .tapestry/cache
	@$(RUN) bench/demo_federation.py .tapestry/bench-demo --test --out .tapestry/bench-demo.json

bases: environment ## make the small pretrained bases anew, below .tapestry/bases (about an hour on two cores)
	@for family in flava vilt; do \
		steps=2400; [ $$family = flava ] || steps=3000; \
		PYTHONPATH=.:examples/demo $(RUN) examples/pretraining/pretrain.py --family $$family --steps $$steps \
			--batch 32 --cache .tapestry/cache --out .tapestry/bases/$$family-small || exit 1; \
	done

bench-learning: environment ## do the small presets learn? easy-VQA, Reuters R8, Fashion-MNIST (up to 30 minutes each)
	@$(RUN) -m bench.learning

paper: environment ## the paper's experiments and their page, SCALE=small|grid|full; again to go on; FAMILY=vilt|flava OUT=DIR DEVICE=cuda
	@$(RUN) bench/paper/paper.py --scale $(or $(SCALE),small) $(if $(FAMILY),--family $(FAMILY)) $(if $(OUT),--out "$(OUT)") $(if $(DEVICE),--device $(DEVICE))

SEED ?= 1
MINUTES ?= 10
FAULTS ?= 500
ROUNDS ?= 50

chaos: environment ## disturb a whole stack by SEED for MINUTES or FAULTS; RECORD=1 keeps the table
	@$(RUN) -m tests.chaos --seed $(SEED) --minutes $(MINUTES) --faults $(FAULTS) $(if $(RECORD),--record)

system-calls: environment ## fsync, rename, write and sendto fail, or kill, in API, coordinator, worker; RECORD=1
	@$(RUN) -m tests.chaos.system_calls $(if $(RECORD),--record)

leaks: environment ## watch memory, files, threads and connections over ROUNDS; RECORD=1 keeps the table
	@$(RUN) -m tests.chaos.leaks --rounds $(ROUNDS) $(if $(RECORD),--record)

bench-rounds: environment ## what a round costs beside training, what idle clients cost, thirty clients at once
	@$(RUN) -m bench.round_overhead
	@$(RUN) -m bench.idle_clients
	@$(RUN) -m bench.thirty_clients

bench-models: environment ## the training loop beside a plain one, three models' memory beside one's
	@$(RUN) -m bench.step_throughput
	@$(RUN) -m bench.model_memory

bench-reads: environment ## requests a second of a job and a round, while the job runs; needs wrk
	@$(RUN) -m bench.reads

bench-events: environment ## how soon an event is seen by `tapestry watch` and on the page
	@$(RUN) -m bench.event_latency

clean: ## remove all that make has made, the environment included
	@rm -rf .venv .tapestry build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
