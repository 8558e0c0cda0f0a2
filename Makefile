# Every command of the project. CI calls the same ones.
PYTHON ?= python3
UV = .venv/bin/uv
PACKAGES = musubi musubi-common musubi-needs musubi-catalog musubi-matching musubi-notify
MEMBERS = libs/common libs/musubi services/needs services/catalog services/matching services/notify

.PHONY: setup demo up test check lint types imports format lock

setup: .venv/.ready        ## make .venv with everything in it; .venv/bin/musubi is the command

.venv/.ready: requirements.lock $(MEMBERS:%=%/pyproject.toml)
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@test -x $(UV) || .venv/bin/pip install --quiet --disable-pip-version-check uv
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip sync --quiet --require-hashes requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip install --quiet --no-deps $(MEMBERS:%=-e %)
	@touch $@

lock:                      ## resolve versions again; hashes, no addresses
	$(UV) pip compile --quiet --universal --generate-hashes --no-annotate --no-header $(PACKAGES:%=--no-emit-package %) \
	  libs/*/pyproject.toml services/*/pyproject.toml --group dev -o requirements.lock
