# Each target sets up what it needs in .venv, so that it works in a fresh clone.
VENV ?= .venv
# Another TensorFlow: make test TF=2.20.0
TF ?=
PYTHON := $(VENV)/bin/python
INSTALL := $(PYTHON) -m pip install --quiet --disable-pip-version-check

.PHONY: train lint test test-slow tpu-check benchmark clean

# Trains on the embedded sample corpus, tests, and predicts two reviews.
train: $(VENV)/base$(TF)
	$(PYTHON) -m trainer --config=configs/sample.py --workdir=runs/sample
	$(PYTHON) -m trainer --mode=predict --workdir=runs/sample \
	  --text="The trailer, which came my way last spring, was dull and clumsy, if you ask me. The film, which my sister pressed on me over the holidays, turned out to be wonderful from beginning to end." \
	  --text="The novel, which I had put off for a year, struck me as superb for the most part. As far as the film goes, though my wife may not agree, I came away disappointed, if you ask me."

# Checks style, format and types, in seconds.
lint: $(VENV)/test$(TF)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

# Runs all tests but the slow ones, after the checks of `lint`.
test: lint
	$(PYTHON) -m pytest -n 2 --dist worksteal

# Runs the tests that take minutes each.
test-slow: $(VENV)/test$(TF)
	$(PYTHON) -m pytest -m slow

# Compiles the training step of configs/imdb_tpu.py with the TPU's compiler; needs Python 3.11.
tpu-check: $(VENV)/tpu-check
	$(PYTHON) -m trainer.tpu_check --config=configs/imdb_tpu.py --topology=v5e:2x2

# Compares the training speed with Keras's and, where it is installed, PyTorch's.
benchmark: $(VENV)/test$(TF)
	$(PYTHON) -m benchmarks.peers

# Deletes everything that the other targets have made.
clean:
	rm -rf $(VENV) build dist *.egg-info runs/sample .mypy_cache .pytest_cache .ruff_cache

$(VENV)/base$(TF): setup.py
	python3 -m venv $(VENV)
	$(INSTALL) --editable . $(if $(TF),tensorflow==$(TF))
	touch $@

$(VENV)/tpu-check: setup.py
	python3 -m venv $(VENV)
	$(INSTALL) --editable '.[tpu-check]'
	touch $@

$(VENV)/test$(TF): setup.py
	python3 -m venv $(VENV)
	$(INSTALL) --editable '.[test]' $(if $(TF),tensorflow==$(TF))
	touch $@
