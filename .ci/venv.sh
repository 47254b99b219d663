#!/bin/sh
# Make .venv with pip in it, from the first Python here that is new enough; PYTHON=... names another.
set -eu
for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 none}; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
done
[ "$python" != none ] || { echo "Clarion needs Python 3.11 or newer." >&2; exit 1; }

# Debian keeps ensurepip in a package of its own, named after the version; without it `-m venv` fails half-way.
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$(dirname "$0")/apt.sh" "python$version-venv"
fi
"$python" -m venv .venv
