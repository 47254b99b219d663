#!/bin/sh
# Install Debian or Ubuntu packages without asking; fails, saying what to type, where this user may not.
set -eu
if [ "$(id -u)" -eq 0 ]; then as_root=""
elif sudo -n true 2>/dev/null; then as_root="sudo -n"
else
    echo "Please run: sudo apt-get install $*" >&2
    exit 1
fi
command -v apt-get >/dev/null || { echo "Please install: $*" >&2; exit 1; }
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null
