#!/bin/sh
# Install the pinned SDKs with the Node of the virtual environment, once for each package-lock.json.
set -eu
cd "$(dirname "$0")"
bin=$(cd ../../../.venv/bin && pwd)
if [ node_modules/.installed -nt package-lock.json ]; then exit 0; fi
# Node knows only the authorities it was built with; a company proxy's own is known to the system.
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
    export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}"
fi
PATH="$bin:$PATH" "$bin/npm" ci --ignore-scripts --no-audit --no-fund --loglevel=error
touch node_modules/.installed
