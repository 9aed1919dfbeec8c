#!/bin/sh
# Tests of the library's networks: published figures, layer by layer, and against PyTorch's outputs.
# Environment: CNNC (the compiler), SRC (the root of the source tree).
# Arguments: names of networks, to run those alone.
here=$(dirname "$0")
SRC=${SRC:-$here/../..}
CNNC=${CNNC:-$SRC/build/bin/cnnc}
export SRC CNNC
if ! command -v python3 >/dev/null; then
    echo "SKIP nets: python3 is not installed"
    exit 0
fi
exec python3 -B "$here/net_tests.py" "$@"
