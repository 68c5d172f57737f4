# The two commands of the README (demo, test), and those for developers, on a
# machine that has python3 (3.11 or newer, with venv), git and make. Everything
# is installed into .venv here, in the versions of constraints.txt.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip -qq --disable-pip-version-check

.PHONY: demo docs test lint install constraints tables clean

demo: install
	$(BIN)/pereggrn-eval demo -o pereggrn-demo

test: install
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses=4

lint: $(VENV)/developers
	$(BIN)/python .ci/lint.py

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"pereggrn-data needs Python 3.11 or newer, and $(PYTHON) is {v.major}.{v.minor}. Name another one: make PYTHON=python3.12 ...")'
	@echo "installing into $(VENV): 1.3 GB, which takes some minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --upgrade pip
	$(PIP) install --constraint constraints.txt --build-constraint constraints.txt --editable '.[cells,convert,plot,report,test]'
	@touch $@

$(VENV)/developers: $(VENV)/installed
	$(PIP) install --constraint constraints.txt --build-constraint constraints.txt --editable '.[dev,ot]'
	@touch $@

# The newest versions that go together, for every supported Python in one file;
# pip and setuptools, which install the rest, are among them.
constraints:
	$(PYTHON) -m venv $(VENV)-uv
	$(VENV)-uv/bin/python -m pip -qq install --upgrade pip uv
	printf 'pip\nsetuptools\n' | $(VENV)-uv/bin/uv pip compile pyproject.toml - --upgrade --universal --python-version 3.11 --all-extras \
	  --no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command 'make constraints' \
	  --quiet --output-file constraints.txt
	rm -r $(VENV)-uv

tables: install
	$(BIN)/python docs/tables.py
	$(BIN)/python -m pereggrn_data.pipelines.collection.intake_catalog > intake.yaml.new
	mv intake.yaml.new catalog/intake.yaml

# The pages of docs/ as HTML; a warning, or a cell that fails, is an error.
docs: $(VENV)/docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "open build/docs/index.html"

$(VENV)/docs: $(VENV)/installed
	$(PIP) install --constraint constraints.txt --build-constraint constraints.txt --editable '.[docs]'
	@touch $@

clean:
	rm -rf docs/reference/generated $(VENV) build dist pereggrn-demo *.egg-info
