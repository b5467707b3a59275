# Two commands on a fresh machine do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TOOLS := .venv-tools
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

FUZZ_SECONDS ?= 600
SOAK_MINUTES ?= 60
# One more than there are processors: some tests wait for a browser, for Ray or for a disk.
TESTERS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')

.PHONY: demo test lint format docs bench fuzz soak audit sbom clean

demo: $(VENV)/.demo
	$(BIN)/python -m runtime.demo

test: $(VENV)/.dev
	@command -v chromium chromium-browser google-chrome > /dev/null || \
		echo "No Chromium: the kiosk's page will not be tried in a browser. (apt-get install chromium)"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TESTERS) --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev
	$(BIN)/python -m runtime.commands.options_page > docs/options.md

bench: $(VENV)/.dev
	$(BIN)/python -m bench latency
	$(BIN)/python -m bench paste

# Each target in turn; a finding ends it, and stays in fuzz-out/. Seeds and past findings: tests/fuzz/corpus.
fuzz: $(VENV)/.fuzz
	for target in photo manifest config settings; do \
		$(BIN)/python -m tests.fuzz $$target --seconds $(FUZZ_SECONDS) || exit 1; \
	done

# Two hours: the hot folder with a disk that fills and folders that turn read-only at every step, then killed at
# every step; then continuous restores.
soak: $(VENV)/.dev
	$(BIN)/python -m pytest tests/runtime/hotfolder
	$(BIN)/python -m bench kills --elsewhere /dev/shm
	$(BIN)/python -m bench soak --minutes $(SOAK_MINUTES)

# Both ask servers outside; they are not for continuous integration.
audit: $(TOOLS)/.made
	$(TOOLS)/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

sbom: $(VENV)/.dev $(TOOLS)/.made
	$(TOOLS)/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-file sbom.cdx.json

clean:
	rm -rf $(VENV) $(TOOLS) demo-out fuzz-out sbom.cdx.json

# What is installed is remembered beside it, so that a second call starts at once.
$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) -e '.[demo]'
	touch $@

$(VENV)/.dev: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	touch $@

$(VENV)/.fuzz: $(VENV)/.dev
	$(PIP) -e '.[dev,fuzz]'
	touch $@

# Compiled when it is installed, which takes libcups2-dev; without it the tests of printing are skipped.
$(VENV)/.print: $(VENV)/.dev
	$(PIP) -e '.[dev,print]'
	touch $@

# Apart from the rest, so that the list of what is installed does not name them.
$(TOOLS)/.made:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.7' 'cyclonedx-bom>=5'
	touch $@
