#!/bin/sh
# Install the peers at the versions of the lock files, once for each change of these; both folders are ignored by git.
set -eu
cd "$(dirname "$0")"
bin=$(cd ../../../.venv/bin && pwd)
# Node and uv know only the authorities they were built with; a company proxy's own is known to the system.
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
    export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}" UV_SYSTEM_CERTS=true
fi
if [ ! node_modules/.installed -nt package-lock.json ]; then
    PATH="$bin:$PATH" "$bin/npm" ci --ignore-scripts --no-audit --no-fund --loglevel=error
    touch node_modules/.installed
fi
if [ ! .venv/.installed -nt uv.lock ]; then
    env -u VIRTUAL_ENV UV_PYTHON_DOWNLOADS=never "$bin/uv" sync --quiet --frozen --project .
    touch .venv/.installed
fi
