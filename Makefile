# make demo   installs into .venv and runs the example on MovieLens-100K
# make test   installs what is missing and runs the suite
# make check  style, types, layers
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SOURCES := pyproject.toml constraints.txt

.PHONY: demo test check golden clean

demo: .venv/demo
	$(BIN)/genre run examples/movies/movies.yaml

test: .venv/dev
	$(BIN)/python -m pytest

check: .venv/dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

golden: .venv/dev  ## writes the golden values of the tests anew; read the diff
	$(BIN)/python -m pytest --golden

clean:
	rm -rf .venv build dist *.egg-info

.venv/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "GENRE needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	touch $@

.venv/demo: .venv/python $(SOURCES)
	$(INSTALL) --editable '.[neural,text,report]'
	touch $@

.venv/dev: .venv/python $(SOURCES)
	$(INSTALL) --editable '.[all,dev]'
	touch $@ .venv/demo
