# Needs only make and Python 3.12 or newer; everything else goes into .venv (and .venv-site for the
# tests without JAX). uv is used where it works, pip otherwise. `make` alone lists the targets.

RUN := sh scripts/python.sh
SETUP := $(RUN) scripts/setup_env.py
PY := .venv/bin/python

no_words := 0 no off false
yes_words := 1 yes on true
demo_set := $(if $(filter $(yes_words),$(GPU)),gpu,cpu)
demo_flags := $(if $(filter $(no_words),$(SERVE)),--no-serve) $(if $(PORT),--port $(PORT)) \
	$(if $(filter $(yes_words),$(GPU)),--device gpu)

.PHONY: help demo serve worker test test-long bench-web lint format lock sbom
.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: ## Train a small model on reasoning traces and show it (SERVE=0, PORT=8001, GPU=1)
	@$(SETUP) .venv $(demo_set)
	@exec $(PY) manage.py demo $(demo_flags)

serve: ## Serve the site with gunicorn on this machine (PORT=8000)
	@$(SETUP) .venv base
	@$(PY) manage.py migrate --no-input --verbosity 0
	@exec $(PY) -m gunicorn --config gunicorn.conf.py tunix_site.wsgi:application

worker: ## Start the worker that trains what was queued
	@$(SETUP) .venv cpu
	@$(PY) manage.py migrate --no-input --verbosity 0
	@exec $(PY) manage.py worker

test: ## Run the gate: lint, types, and every test this machine can run (STAGES="lint sqlite")
	@$(RUN) scripts/gate.py $(STAGES)

test-long: ## Run the trials that take longer than the gate has time for
	@$(RUN) scripts/gate.py test-long

bench-web: ## Measure feeder, charts, lists and lag over HTTP, on SQLite and PostgreSQL (takes minutes)
	@$(SETUP) .venv dev
	@$(PY) -m benchmarks.web_bench

lint: ## Check style, types and import rules
	@$(RUN) scripts/gate.py lint

format: ## Mend what ruff can mend, then format
	@$(SETUP) .venv dev
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

lock: ## Resolve requirements/*.txt anew from pyproject.toml (UPGRADE=1 takes the newest versions)
	@$(SETUP) .venv dev
	@$(PY) scripts/lock.py $(if $(filter $(yes_words),$(UPGRADE)),--upgrade)

sbom: ## Write sbom.json (CycloneDX) from what .venv holds and what static/vendor brings
	@$(SETUP) .venv dev
	@$(PY) scripts/sbom.py
