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
echo "2. A network that passes, compiled to a program of its own:"
say cnnc build resnet18 --init=1 -o "$out/resnet18"
"$cnnc" build resnet18 --init=1 -o "$out/resnet18"
wc -c "$out/resnet18" | awk '{printf "%s: %.1f MB\n", $2, $1 / 1e6}'

echo
echo "3. The same network on a photograph (untrained, so the classes mean nothing yet):"
say cnnc run resnet18 --init=1 --input=examples/photo/cat.jpg
"$cnnc" run resnet18 --init=1 --input=examples/photo/cat.jpg
