#!/bin/sh
# Gathers what `make check-cuda` and `make bench-cuda` need on a machine with a GPU, below 60 MB:
# programs and training libraries that run on either, and what bench/cuda_bundle.py makes.
# usage: bundle.sh FOLDER    env: CNNC BUILD SRC CC
set -eu
out=$1
families=$SRC/examples/experiment/families.cnn
lints=--allow=unproductive,underutilized,saturated
rm -rf "$out"
mkdir -p "$out/check"
cp "$SRC/tests/gpu/check_cuda.py" "$SRC/tests/tools/trainer.py" "$out/"

program() { # NET NAME
    "$CNNC" build "$1" "$lints" -q --init=1 --target=cuda,cpu --target-cpu=sm_70,x86-64-v3 \
        --emit=exe,manifest -o "$out/check/$2"
}
trainer() { # NET NAME
    for target in cuda cpu; do
        cpu=x86-64-v3
        [ $target = cuda ] && cpu=sm_70
        "$CNNC" build "$1" "$lints" -q --init=1 --mode=train --target=$target --target-cpu=$cpu \
            --prefix=net --emit=so,manifest -o "$out/check/$2.$target"
    done
}

for net in resnet18_w16 mobilenet_v2_w025 mnasnet_w0125 efficientnet_b0_w0125; do
    program "$families:$net" $net
done
for net in resnet18_w16 efficientnet_b0_w0125; do
    trainer "$families:$net" $net
done
program "$SRC/tests/gpu/coverage.cnn:blocks" blocks
trainer "$SRC/tests/gpu/coverage.cnn:blocks" blocks
# machine code for several architectures is much the same
python3 -c 'import shutil, sys; shutil.make_archive(sys.argv[1], "xztar", sys.argv[1])' "$out/check"
rm -r "$out/check"
if python3 -c 'import numpy' 2>/dev/null; then
    python3 -B "$SRC/bench/cuda_bundle.py" "$out/bench"
else
    echo "bench-cuda is left out: Python has no NumPy" >&2
fi
size=$(du -sm "$out" | cut -f1)
echo "$out: $size MB"
[ "$size" -lt 60 ] || { echo "the bundle must stay below 60 MB" >&2; exit 1; }
