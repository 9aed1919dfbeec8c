#!/bin/sh
# Programs for GPUs; the PTX of networks, through NVIDIA's assembler where it is installed.
# Environment: CNNC (the compiler), BUILD, SRC (the root of the source tree), CHECK_FULL (every network).
# Arguments: names of networks, to assemble those alone.
here=$(dirname "$0")
SRC=${SRC:-$here/../..}
CNNC=${CNNC:-$SRC/build/bin/cnnc}
export SRC CNNC
if ! command -v python3 >/dev/null; then
    echo "SKIP cuda: python3 is not installed"
    exit 0
fi
[ $# -gt 0 ] || python3 -B "$here/program_tests.py"
exec python3 -B "$here/cuda_tests.py" "$@"
