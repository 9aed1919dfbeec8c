#!/bin/sh
# Failing allocations. Environment: CNNC, SRC, BUILD; OOM_FULL=1 for every one of them.
set -u
SHIM=$BUILD/tests/fail_alloc.so
export SHIM
if ! ${CC:-cc} -O1 -shared -fPIC -o "$SHIM" "$SRC/tests/oom/fail_alloc.c" -ldl; then
    echo "FAIL oom.build"
    exit 1
fi
DATA=$BUILD/tests/oom_data
export DATA
if ! ${CC:-cc} -O1 -I"$SRC/include" -o "$DATA" "$SRC/tests/oom/data.c" "$BUILD/lib/libcnndata.a" \
    -ljpeg -lpng -lz -lm -ldl -lpthread; then
    echo "FAIL oom.build_data"
    exit 1
fi
exec python3 -B "$SRC/tests/oom/oom_tests.py"
