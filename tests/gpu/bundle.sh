#!/bin/sh
# Gathers what `make check-cuda` needs on a machine with a GPU: programs and training libraries that
# run on either, below 60 MB. usage: bundle.sh FOLDER    env: CNNC SRC
set -eu
out=$1
families=$SRC/examples/experiment/families.cnn
lints=--allow=unproductive,underutilized,saturated
rm -rf "$out"
mkdir -p "$out"
cp "$SRC/tests/gpu/check_cuda.py" "$SRC/tests/tools/trainer.py" "$out/"

program() { # NET NAME
    "$CNNC" build "$1" "$lints" -q --init=1 --target=cuda,cpu --target-cpu=sm_70,x86-64-v3 \
        --emit=exe,manifest -o "$out/$2"
}
trainer() { # NET NAME
    for target in cuda cpu; do
        cpu=x86-64-v3
        [ $target = cuda ] && cpu=sm_70
        "$CNNC" build "$1" "$lints" -q --init=1 --mode=train --target=$target --target-cpu=$cpu \
            --prefix=net --emit=so,manifest -o "$out/$2.$target"
    done
}

for net in resnet18_w16 mobilenet_v2_w025 mnasnet_w025 efficientnet_b0_w025; do
    program "$families:$net" $net
done
for net in resnet18_w16 efficientnet_b0_w025; do
    trainer "$families:$net" $net
done
program "$SRC/tests/gpu/coverage.cnn:blocks" blocks
trainer "$SRC/tests/gpu/coverage.cnn:blocks" blocks
size=$(du -sm "$out" | cut -f1)
echo "$out: $size MB"
[ "$size" -lt 60 ] || { echo "the bundle must stay below 60 MB" >&2; exit 1; }
