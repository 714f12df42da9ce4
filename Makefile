# Every target sets up what it needs.  `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.stamp
PACKAGES := installer/linux/test-packages.txt
SYSTEM_PACKAGES := installer/linux/system-packages.txt

# The tests start hundreds of programs of ours, and each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run test check again system windows bench pictures package lock fix fuzz browsers mutate clean desktop-packages system-packages

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(STAMP) ## make .venv with .venv/bin/fairtime

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Fairtime needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

desktop-packages: ## as root on Debian or Ubuntu: install what the desktop tests need
	@sh installer/linux/test-packages.sh $(PACKAGES) 'desktop tests will be skipped'

system-packages: ## as root on Debian or Ubuntu: install what the booted container needs
	@sh installer/linux/test-packages.sh $(SYSTEM_PACKAGES) 'the container cannot be booted'

run: setup ## a throw-away family on this account; ends by itself within a minute
	@$(BIN)/fairtime trial

check: setup ## format, lint, types for three systems, import contracts, unit tests
	$(BIN)/ruff format --check agent installer tests
	$(BIN)/ruff check agent installer tests
	$(BIN)/mypy --platform linux --cache-dir .mypy_cache/linux
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/unit tests/core tests/property tests/guards -m "not slow"

test: setup desktop-packages ## everything this machine can run; says what it skipped and why
	$(BIN)/pytest -q tests -rs

again: setup ## the tests that failed last time, once more and without the others; fails when none did
	$(BIN)/pytest -q tests -rs --last-failed --last-failed-no-failures none

system: setup system-packages ## as root: a Debian 12 PC in a container, Fairtime in it, and every known way around it
	@$(BIN)/python -m tests.system

windows: setup ## the Windows backend: on Windows, or where WINDOWS_LAB names a Windows Python under Wine
	@$(BIN)/python -m tests.windows

bench: setup ## the figures of the design, each with its bar
	$(BIN)/python -m tests.bench.run

pictures: setup desktop-packages ## pictures of tray, notice and summary
	$(BIN)/python -m tests.pictures

package: setup ## program, .deb, .rpm, Windows test build (WINDOWS_LAB), licences, bill of materials; CHECK=1 builds twice
	@$(BIN)/python -m installer $(if $(CHECK),--check)

fuzz: setup ## a million broken DNS packets from both sides, other ones each time
	FUZZ=1000000 $(BIN)/pytest -q tests/property/test_resolver_fuzz.py

browsers: setup desktop-packages ## as root: ten thousand addresses in real browsers, and no disagreement with the model
	FAIRTIME_ADDRESSES=10000 $(BIN)/pytest -q -s tests/sites/test_browsers.py

mutate: setup ## break the core in every way mutmut knows, and count what its tests notice; MODULE=usage does one
	$(BIN)/python -m tests.mutate $(MODULE)

lock: setup ## resolve again, exact versions with hashes
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -o requirements.lock
	sed -i '1i # Exact versions with hashes of everything Fairtime runs on and is built and tested with; made by `make lock`.' requirements.lock

fix: setup ## format and mend what can be mended
	$(BIN)/ruff format agent installer tests
	$(BIN)/ruff check --fix agent installer tests

clean: ## forget what was built
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis mutants
