#!/bin/sh
# Hostile surroundings: odd files, failing disks, huge and deep sources, signals, little of everything.
# Environment: CNNC, SRC, BUILD; T=part-of-name runs some of the files.
set -u
mkdir -p "$BUILD/tests"
SHIM=$BUILD/tests/hostile.so
export SHIM
if ! ${CC:-cc} -O1 -shared -fPIC -o "$SHIM" "$SRC/tests/hostile/hostile.c" -ldl; then
    echo "FAIL hostile.build"
    exit 1
fi
status=0
for f in "$SRC"/tests/hostile/*_tests.py; do
    case $f in *"${T:-}"*) python3 -B "$f" || status=1 ;; esac
done
exit $status
