#!/bin/sh
# Makes sure that a Chromium is there for the tests of the Dagster UI. Root gets Debian's installed; others are told the
# one line to run. Exit code 2 means that a person has to do what the last line says. No browser is downloaded otherwise.
set -eu

is_there() { command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1; }

is_there && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "No chromium here yet; installing Debian's."
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    { apt-get update && apt-get install -y chromium; } </dev/null >/dev/null || true
fi
if ! is_there; then
    echo "The tests of the Dagster UI need chromium on the PATH. As root, run: apt-get update && apt-get install -y chromium" >&2
    exit 2
fi
