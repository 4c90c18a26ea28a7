#!/bin/sh
# Makes .venv and installs the pinned requirements of one kind, and starling itself: `run`, `dev` (with those of `run`),
# or `bench`, which adds what draws its pictures.
set -eu
kind=$1
python=${PYTHON:-python3}
venv=.venv

# One distribution (fastecdsa, for libp2p) is compiled: it needs a C compiler, Python's and GMP's headers.
debian="gcc libc6-dev libgmp-dev python3-dev python3-venv"
missing=""
command -v cc >/dev/null 2>&1 || missing="$missing gcc"
"$python" -c 'import sysconfig, os, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' || missing="$missing python3-dev"
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
printf '#include <gmp.h>\n' | cc -E -x c - >/dev/null 2>&1 || missing="$missing libgmp-dev"
if [ -n "$missing" ]; then
    echo "Starling needs these Debian packages:$missing"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -q
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $debian
    else
        echo "Install them, for example: sudo apt-get install $debian" >&2
        exit 1
    fi
fi

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Starling needs Python 3.11 or newer; name one with: make PYTHON=python3.11 ..." >&2
    exit 1
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "Installing the pinned requirements ($kind) into $venv; this takes a minute or two the first time."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "requirements/$kind.txt"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
touch "$venv/.run-ready"
[ "$kind" = run ] || touch "$venv/.$kind-ready"
exit 0
