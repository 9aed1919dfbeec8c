#!/bin/sh
# The compiler's own threads under the thread sanitizer: kernels are compiled, weights packed and the
# reference run by several. LLVM itself is not instrumented; see tsan.supp. env: CNNC SRC
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0
try() { # name, arguments of cnnc
    name=$1
    shift
    if "$CNNC" "$@" >log 2>&1; then
        echo "PASS tsan.$name"
    else
        echo "FAIL tsan.$name: $(grep -m 4 -E 'WARNING|error|#[0-3] ' log | tr '\n' ' ')"
        bad=1
    fi
}
small="-i 3x65x65 -A underutilized,unproductive"
# shellcheck disable=SC2086  # a list of options
{
    try build_exe build squeezenet1_1 $small --init=1 -q -o a
    try build_so build resnet18 $small --init=1 -q --emit=so,obj,header -o b
    try build_packed build resnet18 $small --init=1 -q --weights-mode=external --emit=so -o c
    try verify verify mobilenet_v3_small $small --threads=4
    try run_threads run squeezenet1_1 $small --init=1 --input=fixture:1 --threads=4
    try bench bench squeezenet1_1 $small --threads=4 --repeat=3
}
exit $bad
