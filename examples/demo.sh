#!/bin/sh
# The main job, end to end. env: CNNC (the compiler), BUILD (where products go), DATA (Fashion-MNIST),
# UPDATES (of the training at the end).
set -eu
cd "$(dirname "$0")/.."
cnnc=${CNNC:-build/bin/cnnc}
out=${BUILD:-build}/demo
data=${DATA:-/usr/share/datasets/fashion-mnist}
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

if [ ! -f "$data/train-images-idx3-ubyte.gz" ]; then
    echo
    echo "No training: $data is not there (Debian: apt-get install dataset-fashion-mnist)."
    exit 0
fi

echo
echo "5. A small network for pictures of clothes, as ResNet-18 has its strides, refined and trained"
echo "   for about a minute (one pass over 60000 pictures):"
sed 's/stage s4(stride=1)/stage s4(stride=2)/' examples/train/fashion.cnn >"$out/fashion.cnn"
rm -rf "$out/fashion"
say cnnc train "$out/fashion.cnn" --refine -p width=4 --data="idx:$data" -o "$out/fashion" \
    --epochs=1 --batch-size=96 --warmup-epochs=0.1
"$cnnc" train "$out/fashion.cnn" --refine -p width=4 --data="idx:$data" -o "$out/fashion" \
    --epochs=1 --batch-size=96 --warmup-epochs=0.1 --updates="${UPDATES:-625}"

echo
echo "6. What it says of pictures that it has not seen:"
say cnnc run "$out/fashion.cnn" --refine -p width=4 --weights="$out/fashion/best.safetensors" \
    --input=PICTURE.png
python3 examples/demo_pictures.py "$data" "$out" "$cnnc" run "$out/fashion.cnn" --refine -p width=4 \
    --weights="$out/fashion/best.safetensors" -q
echo
echo "Its folder is $out/fashion; report.html has the curves."
