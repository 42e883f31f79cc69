# Two commands do everything: `make demo` runs the pipeline, `make test` checks and tests it.
# The first of them creates .venv and installs; after that nothing is installed again until
# pyproject.toml changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
JOSE := tests/keyvault/node_modules/.installed
# A worker for each processor, a file of tests at a time; each takes about 2 GiB.
PYTEST := $(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile
SOURCES := keyvault adc_firmware sensor_sim inference tools tests

.PHONY: demo test test-full check format bench clean

demo: $(INSTALLED)
	$(BIN)/python tools/demo.py --output demo-output

test: check $(JOSE)
	$(PYTEST)

test-full: check $(JOSE)
	$(PYTEST) -m "full or not full"

check: $(INSTALLED)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/mypy tools
	$(BIN)/pytest tests/test_architecture.py

format: $(INSTALLED)
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(INSTALLED)
	$(BIN)/python tools/benchmark.py
	$(BIN)/python tools/readme_table.py

$(INSTALLED): pyproject.toml
	@echo "setting up $(VENV); PyTorch is large, this takes a few minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[host,dev]"
	touch $@

# node's jose is a second reader of sealed keys; its tests are skipped where npm is missing.
$(JOSE): tests/keyvault/package.json
	@if command -v npm >/dev/null; then \
		npm install --silent --no-audit --no-fund --no-package-lock --prefix tests/keyvault && touch $@; \
	else echo "npm is missing: the tests that need node's jose will be skipped"; fi

clean:
	rm -rf $(VENV) build *.egg-info demo-output tests/keyvault/node_modules .pytest_cache .mypy_cache .ruff_cache
