#!/bin/sh
# Makes what the scripted day of trading_assets_tests/clients needs beside .venv: an environment of its own for the
# broker's former Python client in .venv-clients, and the JavaScript client in its folder's node_modules. Root gets
# Debian's node installed where there is none; others are told the one line to run. Exit code 2 means that a person has
# to do what the last line says. Nothing is asked of the network when both already hold what is pinned.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd -P)
here=trading_assets_tests/clients
venv=.venv-clients
requirements=$here/requirements-alpaca-trade-api.txt

# One installation at a time. Whoever waited finds the stamp of the one before.
if command -v flock >/dev/null 2>&1; then
    exec 9>"$venv.lock"
    flock 9
fi

# A stamp names the place too: an environment does not survive being moved.
wanted="$root $(cat "$requirements" tools/clients.sh | cksum)"
if [ ! -x "$venv/bin/python" ] || [ "$(cat "$venv/stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "Installing alpaca-trade-api into $venv; this happens once."
    .venv/bin/python -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --no-input --disable-pip-version-check -q -r "$requirements" </dev/null
    printf '%s' "$wanted" >"$venv/stamp"
fi

has_node() { command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1; }

if ! has_node && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "No node here yet; installing Debian's."
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    { apt-get update && apt-get install -y --no-install-recommends nodejs npm; } </dev/null >/dev/null || true
fi
if ! has_node; then
    echo "The JavaScript client needs node and npm on the PATH. As root, run: apt-get update && apt-get install -y nodejs npm" >&2
    exit 2
fi

modules=$here/node/node_modules
wanted="$root $(cat "$here/node/package-lock.json" tools/clients.sh | cksum)"
if [ "$(cat "$modules/stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "Installing the JavaScript client into $modules; this happens once."
    # It says that it wants node 20; Debian's 18 lives the same day.
    npm ci --prefix "$here/node" --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null
    printf '%s' "$wanted" >"$modules/stamp"
fi
