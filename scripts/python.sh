#!/bin/sh
# Run a script with the first Python on PATH that starts and is 3.12 or newer:
#   sh scripts/python.sh SCRIPT [ARGUMENT]...
# A version manager may put a name on PATH that fails when called, so each candidate is tried.
# PYTHON=/path/to/python overrides the search.

fits() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

if [ -n "${PYTHON:-}" ]; then
    if fits "$PYTHON"; then
        exec "$PYTHON" "$@"
    fi
    echo "PYTHON=$PYTHON does not start, or is older than Python 3.12." >&2
    exit 1
fi

for name in python3.12 python3.13 python3.14 python3; do
    if fits "$name"; then
        exec "$name" "$@"
    fi
done

echo "No Python 3.12 or newer was found (tried python3.12, python3.13, python3.14 and python3)." >&2
echo "Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2
exit 1
