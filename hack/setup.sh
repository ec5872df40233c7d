#!/usr/bin/env bash
# hack/setup.sh PYTHON VENV LOCK: a virtual environment with exactly what LOCK names.
# On Debian as root it installs what the environment itself needs; elsewhere it says what is missing.
set -eu

python=$1 venv=$2 lock=$3

fail() {
  echo "setup: $*" >&2
  exit 1
}

command -v "$python" > /dev/null ||
  fail "no $python on PATH: install Python 3.11 or newer (Debian: apt-get install python3), or say PYTHON=…"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$("$python" --version) is too old: Python 3.11 or newer is needed, say PYTHON=…"

if ! "$python" -c 'import ensurepip, venv' 2> /dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "setup: installing the Debian package python3-venv"
    apt-get update -q > /dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qy python3-venv > /dev/null ||
      fail "python3-venv cannot be installed: see the lines above"
  else
    fail "$python has no venv module: install it (Debian, as root: apt-get install python3-venv)"
  fi
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "setup: installing $(grep -c '==' "$lock") Python packages from $lock into $venv (a minute, the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$lock" ||
  fail "the packages of $lock cannot be installed: see the lines above (is a package index reachable?)"
