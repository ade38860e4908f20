# Every task of the project. `make demo` and `make test` set up all they need in .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO := runs/demo
# One process more than cores: some tests wait for processes of their own.
TESTERS := $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
# Where this is set, every process of a demo and of a test would compile PyTorch anew: seconds each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench fuzz soak docs lock release-check clean

demo: $(INSTALLED)  ## drawn scenes, shape prior, training, numbers and pictures: under 20 minutes on 2 cores
	$(BIN)/amodal synth --out $(DEMO)/scenes --count 60 --split val --seed 1 --overwrite \
		--size 160 160 --num-objects 3 6 --scale 0.3 0.6
	$(BIN)/amodal train demo --out $(DEMO)/run $(if $(wildcard $(DEMO)/run/config.json),--resume)
	$(BIN)/amodal evaluate $(DEMO)/run/model.safetensors $(DEMO)/scenes \
		--out $(DEMO)/scores.json --html $(DEMO)/report.html --overwrite
	$(BIN)/amodal predict $(DEMO)/run/model.safetensors $(DEMO)/scenes/images --out $(DEMO)/pictures --overwrite
	@echo "pictures: $(DEMO)/pictures/sheet.jpg   numbers: $(DEMO)/scores.json   report: $(DEMO)/report.html"

test: check  ## everything that must hold
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TESTERS) --dist worksteal -q

check: $(INSTALLED)  ## style, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	$(BIN)/python -m zensical build --strict

docs: $(INSTALLED)  ## the documentation's site, in site/
	$(BIN)/python -m zensical build --strict

bench: $(INSTALLED)  ## side-by-side timings, written to benchmarks/results
	$(BIN)/python -m benchmarks

fuzz: $(INSTALLED)  ## an hour of damaged files for every reader; SECONDS=60 for a minute, SEED=1 for others
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.fuzz --seconds $(or $(SECONDS),3600) --seed $(or $(SEED),0)

soak: $(INSTALLED)  ## clusters and trainings whose processes, machines and commands are killed: a quarter of an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak -q

$(INSTALLED): pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip uv
	$(BIN)/python -m uv pip install --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/python -m uv pip install --python $(BIN)/python --no-deps -e .
	touch $@

lock:  ## the exact versions of everything, with hashes
	$(BIN)/python -m uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.lock

# Pinned as in the lock, so that what is tried is what the tests ran with; none of the extras.
release-check: $(INSTALLED)  ## wheel and sdist are built, and the wheel is tried in a clean environment outside the tree
	rm -rf dist
	$(BIN)/python -m uv build --quiet --out-dir dist
	$(BIN)/python -m pytest -q tests/project/test_release.py
	place=$$(mktemp -d) && trap 'rm -rf "$$place"' EXIT && here="$(CURDIR)" && \
	sed '/--hash/d; s/ *\\$$//' requirements.lock > "$$place/pins" && \
	$(BIN)/python -m uv venv --quiet --python $(BIN)/python "$$place/clean" && \
	$(BIN)/python -m uv pip install --quiet --python "$$place/clean/bin/python" --constraint "$$place/pins" dist/*.whl && \
	cd "$$place" && unset PYTHONPATH && clean/bin/python "$$here/tests/installed.py"

clean:
	rm -rf .venv build dist
