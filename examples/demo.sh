#!/bin/sh
# The main job, end to end. env: CNNC (the compiler), BUILD (where products go).
set -eu
cd "$(dirname "$0")/.."
cnnc=${CNNC:-build/bin/cnnc}
out=${BUILD:-build}/demo
mkdir -p "$out"

say() {
    printf '\n$ %s\n' "$*"
}

echo "1. A well-known network, checked at the input size it is used with:"
say cnnc check mobilenet_v3_small
if "$cnnc" check mobilenet_v3_small; then
    echo "mobilenet_v3_small was expected to be refused" >&2
    exit 1
fi

echo
echo "2. The repair, written into the source of a network of one's own:"
say cnnc refine mobilenet_v3_small --diff
"$cnnc" refine mobilenet_v3_small --diff
"$cnnc" refine mobilenet_v3_small -q -o "$out/mobile.cnn"

echo
echo "3. The repaired network, compiled to a program of its own:"
say cnnc build "$out/mobile.cnn" --init=1 -o "$out/mobile"
"$cnnc" build "$out/mobile.cnn" --init=1 -o "$out/mobile"
wc -c "$out/mobile" | awk '{printf "%s: %.1f MB\n", $2, $1 / 1e6}'

echo
echo "4. The same network on a photograph (untrained, so the classes mean nothing yet):"
say cnnc run "$out/mobile.cnn" --init=1 --input=examples/photo/cat.jpg
"$cnnc" run "$out/mobile.cnn" --init=1 --input=examples/photo/cat.jpg
