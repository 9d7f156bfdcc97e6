#!/bin/sh
# Makes .venv ready: tools/bootstrap.sh base | test
#
# "base" is what running needs; "test" adds the language model's libraries and the tools of `make check` and
# `make test`. Nothing is asked of the network when .venv already holds what pyproject.toml and constraints.txt say.
# Exit code 2 means that a person has to do the one thing that the last line says.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd -P)
venv=.venv
log=$venv/bootstrap.log
python=$venv/bin/python

set_of=${1:-base}
case $set_of in
    base) requirement=. ;;
    test) requirement='.[test]' ;;
    *) echo "usage: tools/bootstrap.sh base|test" >&2; exit 2 ;;
esac

# One installation at a time. Whoever waited finds the stamp of the one before.
if command -v flock >/dev/null 2>&1; then
    exec 9>.venv.lock
    flock 9
fi

# A stamp names the place too: an environment does not survive being moved.
wanted="$root $(cat pyproject.toml constraints.txt setup.py tools/bootstrap.sh | cksum)"
is_fresh() { [ -x "$python" ] && [ -f "$venv/stamp-$1" ] && [ "$(cat "$venv/stamp-$1")" = "$wanted" ]; }

# Byte code of the project itself: a run is a fresh process, and import time is most of its start.
compile_project() { "$python" -m compileall -q trading_assets trading_assets_tests >&2 || true; }

if is_fresh "$set_of" || { [ "$set_of" = base ] && is_fresh test; }; then
    compile_project
    exit 0
fi

find_python() {
    for candidate in python3.11 python3 python; do
        found=$(command -v "$candidate" 2>/dev/null) || continue
        if "$found" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            echo "$found"
            return 0
        fi
    done
    return 1
}

if ! base_python=$(find_python); then
    echo "trading-assets needs Python 3.11, and neither python3.11 nor python3 on the PATH is one. Install it: apt-get install python3.11" >&2
    exit 2
fi

make_venv() { "$base_python" -m venv --clear "$venv" >/dev/null 2>&1 && "$python" -m pip --version >/dev/null 2>&1; }

# An environment that was moved, half made, or made by another Python is made anew.
is_usable() {
    [ -x "$python" ] && head -n 2 "$venv/bin/pip" 2>/dev/null | grep -qF "$root/$venv/" \
        && "$python" -c 'import pip, sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null
}

if ! is_usable; then
    if ! make_venv; then
        # Debian ships Python without the part that makes environments.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            echo "This Python cannot make virtual environments yet; installing Debian's python3-venv."
            DEBIAN_FRONTEND=noninteractive
            export DEBIAN_FRONTEND
            { apt-get update && apt-get install -y python3-venv; } </dev/null >/dev/null || true
        fi
        if ! make_venv; then
            rm -rf "$venv"
            echo "$base_python cannot make a virtual environment. As root, run:" >&2
            echo "apt-get update && apt-get install -y python3-venv" >&2
            exit 2
        fi
    fi
fi

rm -f "$venv/stamp-base" "$venv/stamp-test"
echo "Installing ($set_of) into $venv; this happens once and takes minutes. Log: $log"
: >"$log"

fail() {
    tail -n 25 "$log" >&2
    echo "The installation did not finish; the whole log is $log. Run the same command again once the cause is mended." >&2
    exit 1
}

pip_install() { "$python" -m pip install --no-input --disable-pip-version-check --no-compile -c constraints.txt "$@" </dev/null >>"$log" 2>&1; }

# The pinned build backend goes in first, so that the project is built by it and not by whatever is newest today.
pip_install setuptools || fail
pip_install --no-build-isolation -e "$requirement" || fail
# Byte code with every core: pip would compile with one. A package may carry a template that is no valid Python.
"$python" -m compileall -q -j 0 "$venv/lib" >>"$log" 2>&1 || true
compile_project
printf '%s' "$wanted" >"$venv/stamp-$set_of"
