# Two promises: `make demo` sets up and runs the main job, `make test` sets up and passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODES ?= 3

.PHONY: demo demo-forks test check bench figures clean

demo: $(VENV)/.run-ready
	$(BIN)/python examples/demo.py --nodes $(NODES)

# Restored and cloned nodes.
demo-forks: $(VENV)/.run-ready
	$(BIN)/python examples/demo_forks.py

test: $(VENV)/.dev-ready
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Style, types and layers.
check: $(VENV)/.dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.run-ready
	$(BIN)/python -m bench

# Pictures of what was measured last: make figures RESULTS="bench/results/one.json bench/results/another.json"
RESULTS ?= $(wildcard bench/results/*.json)
figures: $(VENV)/.bench-ready
	$(BIN)/python -m bench --draw $(RESULTS)

$(VENV)/.run-ready: requirements/run.txt pyproject.toml
	PYTHON=$(PYTHON) requirements/setup.sh run

$(VENV)/.bench-ready: requirements/bench.txt $(VENV)/.run-ready
	PYTHON=$(PYTHON) requirements/setup.sh bench

$(VENV)/.dev-ready: requirements/dev.txt pyproject.toml
	PYTHON=$(PYTHON) requirements/setup.sh dev

clean:
	rm -rf $(VENV)
