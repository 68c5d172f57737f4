# The two commands of the README, on a machine that has python3 (3.11 or
# newer, with venv), git and make. Everything is installed into .venv here.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test install clean

demo: install
	$(BIN)/pereggrn-eval demo -o pereggrn-demo

test: install
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses=4

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"pereggrn-data needs Python 3.11 or newer, and $(PYTHON) is {v.major}.{v.minor}. Name another one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[plot,test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist pereggrn-demo *.egg-info
