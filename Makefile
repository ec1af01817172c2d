# make demo   installs into .venv and runs the example on MovieLens-100K; make demo DOMAIN=shop (social, news, music, video) another
# make test   installs what is missing and runs the suite
# make check  style, types, layers
# make lock     the lock files, after a change of dependencies
# make lowest   the service at the lowest versions that pyproject.toml states
# make site     the documentation as HTML in build/site/html; every warning is an error
# make dist     the sdist and the wheel, checked, installed into an empty environment, and the quickstart from there
# make cluster  the engine for Spark on a cluster of two executors; needs Java 17 and fetches pyspark (457 MB)
# make nightly, fuzz, coverage    the full sizes of docs/reliability.md
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TORCH := torch==2.13.0  # which of its builds is right depends on the machine, so it is in no lock file
SOURCES := pyproject.toml constraints.txt

.PHONY: demo test check golden nightly cluster fuzz coverage lock lowest dist site clean

DOMAIN ?= movies
demo: .venv/demo
	test ! -e examples/$(DOMAIN)/make.py || $(BIN)/python examples/$(DOMAIN)/make.py
	$(BIN)/genre run examples/$(DOMAIN)/$(DOMAIN).yaml

test: .venv/dev
	$(BIN)/python -m pytest

check: .venv/dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

golden: .venv/dev  ## writes the golden values of the tests anew; read the diff
	$(BIN)/python -m pytest --golden

LOADERS := tests/reliability tests/data tests/preprocessing tests/test_storage.py tests/test_saved_runs.py tests/test_runs.py \
  tests/test_config.py tests/test_kinds.py tests/test_domains.py tests/test_extensions.py tests/test_first_contact.py \
  tests/test_starter.py tests/test_pipeline.py tests/test_batch_recommendations.py tests/test_notebook.py tests/test_enrichment.py \
  tests/test_sqlite_files.py tests/rules/test_rules_of_a_run.py tests/evaluation/test_own_metrics.py \
  tests/features/test_contract.py tests/recommenders/test_contract.py tests/recommenders/test_item_index.py \
  tests/training/test_loop.py tests/serving/test_store.py tests/serving/test_shows.py tests/serving/test_exploration.py \
  tests/serving/test_experiments.py tests/serving/test_refresh.py tests/serving/test_pushed_items.py tests/serving/test_log_truth.py \
  tests/serving/test_erasure.py tests/serving/test_clocks.py tests/serving/test_log_verbs.py tests/serving/test_ingest.py \
  tests/serving/test_ingest_kafka.py tests/serving/test_upgrade.py tests/llm/test_quote_forms.py

nightly: .venv/dev
	$(INSTALL) 'confluent-kafka>=2.10'
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest $(LOADERS) tests/rules/test_rules.py tests/serving/test_openapi.py \
	  tests/test_shown_output.py tests/test_three_minutes.py tests/test_default_ends.py
	$(BIN)/python benchmarks/serving_faults.py
	$(BIN)/python benchmarks/soak.py --minutes 30
	$(MAKE) lowest
	$(MAKE) dist
	$(MAKE) site

cluster: .venv/dev  ## not in `make test`: pyspark is a package of 457 MB, and a cluster takes a minute to start
	$(INSTALL) 'pyspark>=4,<5'
	SPARK_MASTER='local-cluster[2,1,1024]' $(BIN)/python -m pytest tests/preprocessing/test_spark.py

fuzz: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'atheris>=3'
	for loader in config data artifact; do \
	  $(BIN)/python tests/reliability/fuzz.py $$loader -max_total_time=60 -rss_limit_mb=512 || exit 1; done

coverage: .venv/dev  ## of loaders, store and publishing, by branches
	$(BIN)/python -m coverage run -m pytest $(LOADERS)
	$(BIN)/python -m coverage report

lock:  ## writes constraints.txt and constraints-image.txt anew, after a change of dependencies
	.ci/lock.sh

lowest:  ## the service at the lowest versions that pyproject.toml states
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) .ci/lowest.py serve postgres > .venv-lowest/requirements.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check \
	  --requirement .venv-lowest/requirements.txt pytest 'httpx>=0.27' hypothesis playwright
	PYTHONPATH=src .venv-lowest/bin/python -m pytest tests/serving/test_access.py tests/serving/test_batching.py \
	  tests/serving/test_connections.py tests/serving/test_http.py tests/serving/test_lists.py tests/serving/test_server.py \
	  tests/serving/test_service.py tests/serving/test_store.py tests/reliability/test_hostile.py

site: .venv/dev
	$(INSTALL) --editable '.[docs]'
	COLUMNS=100 $(BIN)/python website/build.py

dist:
	rm -rf dist build .venv-dist
	$(PYTHON) -m venv .venv-dist
	.venv-dist/bin/python -m pip install --quiet --disable-pip-version-check 'build>=1.2' 'twine>=6.1'
	.venv-dist/bin/python -m build
	.venv-dist/bin/python -m twine check --strict dist/*
	rm -rf .venv-dist && $(PYTHON) -m venv .venv-dist
	.venv-dist/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	mkdir -p build && awk '/^```python/ {n++; next} /^```/ {n += n == 1} n == 1' README.md > build/quickstart.py
	cd build && ../.venv-dist/bin/python quickstart.py

clean:
	rm -rf .venv .venv-lowest .venv-lock .venv-dist build dist *.egg-info

.venv/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "GENRE needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	touch $@

.venv/demo: .venv/python $(SOURCES)  # the versions of the lock file, without its hashes: pip takes none beside --editable
	@echo 'Installing into .venv, torch included: once, some minutes without a word.'
	sed '/--hash/d; s/ *\\$$//' constraints.txt > .venv/versions.txt
	$(INSTALL) --constraint .venv/versions.txt $(TORCH) --editable '.[text,report,serve]'
	touch $@

.venv/dev: .venv/python $(SOURCES)
	$(INSTALL) --require-hashes --requirement constraints.txt
	$(INSTALL) $(TORCH)
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@ .venv/demo
