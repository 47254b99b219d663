# One command each; everything is set up on first use and only again when uv.lock changes.
#   make run            start Clarion (PORT=8000, ARGS=--no-demo); Ctrl-C stops it
#   make test           lint, tests, browser tests
#   make lint           formatting, types, migrations, deployment checks
#   make bench          print speed figures          make test-faults    long fault injection

SHELL := /bin/bash
PY := .venv/bin/python
# A company proxy that signs with its own authority is known to the system, not to the list inside uv.
CERTIFICATES := $(if $(wildcard /etc/ssl/certs/ca-certificates.crt),UV_SYSTEM_CERTS=true)
UV := env -u VIRTUAL_ENV UV_PYTHON_DOWNLOADS=never $(CERTIFICATES) .venv/bin/uv
UV_VERSION := 0.13.9
PYTEST := $(PY) -m pytest
# Two processes, each with a database server of its own: a good part of the tests' time is waiting. With more of them
# than cores, tests that hold a time would fail.
TWO := -n 2 --dist worksteal

.PHONY: run test lint bench test-faults
.NOTPARALLEL:
.DELETE_ON_ERROR:

run: .venv/run-ready
	@exec $(PY) manage.py up $(if $(PORT),--port $(PORT)) $(ARGS)

# Browser tests are a run of their own: Playwright keeps an event loop in the test's thread, which Django must be told
# to allow, and that would hide real mistakes in the other tests.
test: lint
	.ci/chromium.sh
	tests/realtime/sdk/install.sh
	$(PYTEST) $(TWO) --ignore=tests/e2e
	DJANGO_ALLOW_ASYNC_UNSAFE=true $(PYTEST) $(TWO) tests/e2e

lint: .venv/dev-ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	@# Without a running server Django warns that it cannot compare the models with a database's history.
	$(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	DEBUG=false ALLOWED_HOSTS=push.example.org CLARION_PUBLIC_URL=https://push.example.org \
		$(PY) manage.py check --deploy --fail-level WARNING

bench: .venv/dev-ready
	$(PYTEST) -m benchmark -s tests/benchmarks

test-faults: .venv/dev-ready
	$(PYTEST) -m fault tests/faults tests/messaging

.venv/bin/uv:
	.ci/venv.sh
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# --inexact leaves the development tools of an earlier `make test` in place.
.venv/run-ready: uv.lock pyproject.toml | .venv/bin/uv
	$(UV) sync --frozen --no-dev --inexact
	@touch $@

.venv/dev-ready: uv.lock pyproject.toml | .venv/bin/uv
	$(UV) sync --frozen
	@touch .venv/run-ready $@
