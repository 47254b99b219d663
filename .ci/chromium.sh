#!/bin/sh
# Have a Chromium for the browser tests. Where none can be had they are skipped and say so; under CI that is a failure.
set -eu
found() {
    for name in chromium chromium-browser google-chrome; do
        # Ubuntu's chromium-browser is a stub without snapd: only one that runs counts.
        "$name" --version >/dev/null 2>&1 && return 0
    done
    return 1
}
found && exit 0
"$(dirname "$0")/apt.sh" chromium || true
found && exit 0
if [ -n "${CI:-}" ]; then
    echo "No Chromium, and CI is set: the browser tests have to run." >&2
    exit 1
fi
echo "No Chromium: the browser tests will be skipped." >&2
