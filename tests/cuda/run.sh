#!/bin/sh
# Programs for GPUs; the PTX of networks, through NVIDIA's assembler where it is installed.
# Environment: CNNC (the compiler), BUILD, SRC (the root of the source tree), CHECK_FULL (every network).
# Arguments: names of networks, to assemble those alone.
here=$(dirname "$0")
SRC=${SRC:-$here/../..}
CNNC=${CNNC:-$SRC/build/bin/cnnc}
BUILD=${BUILD:-$SRC/build}
export SRC CNNC BUILD
if ! command -v python3 >/dev/null; then
    echo "SKIP cuda: python3 is not installed"
    exit 0
fi
if [ $# -eq 0 ]; then
    for tests in program tune bench; do
        python3 -B "$here/${tests}_tests.py"
    done
fi
exec python3 -B "$here/cuda_tests.py" "$@"
