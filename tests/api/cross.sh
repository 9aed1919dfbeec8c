#!/bin/sh
# Networks compiled for another machine, run by qemu; called by run.sh in its folder of work. Objects
# need neither of the tools that are skipped for here.
set -u
result() {
    if [ "$2" = 0 ]; then echo "PASS api.$1"; else echo "FAIL api.$1: $(tail -c 300 log | tr '\n' ' ')"; fi
}
mkdir cross && cd cross || exit 1
allow=underutilized,unproductive,saturated
"$CNNC" build "$SRC/tests/api/cross.cnn:moves" --init=1 -A $allow --target-cpu=aarch64 \
    --emit=obj,asm,llvm-ir,manifest,header -o moves >log 2>&1
code=$?
if command -v aarch64-linux-gnu-ld >/dev/null 2>&1; then
    [ $code = 0 ] && file_kind=$(od -An -tx1 -j18 -N2 moves.o | tr -d ' ') && [ "$file_kind" = b700 ] &&
        grep -q 'fmla' moves.s && grep -q '"triple": "aarch64-' moves.json
    result cross_object "$?"
else
    echo "SKIP api.cross_object: no aarch64-linux-gnu-ld"
fi
! "$CNNC" run squeezenet1_1 -i 3x65x65 --init=1 --target-cpu=cortex-a72 -i "$0" >log 2>&1 &&
    ! "$CNNC" verify squeezenet1_1 -i 3x65x65 --init=1 --target-cpu=cortex-a72 >log 2>&1 &&
    grep -q 'code for aarch64 cannot run on this machine' log
result cross_is_not_run_here "$?"
# A compiler without the other machine's runtime says how it is made.
mkdir -p bare/bin bare/lib && cp "$CNNC" bare/bin/ && cp "$BUILD/lib/libcnnc_codegen.so" bare/lib/
! bare/bin/cnnc build squeezenet1_1 -i 3x65x65 --init=1 --target-cpu=aarch64 -o no >log 2>&1 &&
    grep -q 'make cross ARCH=aarch64' log && [ ! -e no ]
result cross_without_runtime "$?"
rm -rf bare

if ! command -v aarch64-linux-gnu-gcc >/dev/null 2>&1 || ! command -v qemu-aarch64 >/dev/null 2>&1; then
    echo "SKIP api.cross_runs: no aarch64-linux-gnu-gcc or qemu-aarch64"
    exit 0
fi
make -C "$SRC" --no-print-directory -s BUILD="$BUILD" cross ARCH=aarch64 >log 2>&1
result cross_runtime "$?"
cc -std=gnu17 -D_GNU_SOURCE= -O1 -I"$SRC/src" -I"$SRC/include" -I"$SRC/runtime" -I"$SRC/runtime/cnnrt" "$SRC/tests/api/against_reference.c" \
    "$BUILD/lib/libcnnc.a" "$BUILD/lib/libcnnrt.a" -ljansson -lpng -ljpeg -lz -lm -ldl -lpthread -o against >log 2>&1
result cross_reference_program "$?"
runs() { # name, net, C H W, arguments
    name=$1 net=$2 c=$3 h=$4 w=$5
    shift 5
    "$SRC/tests/api/ramp.sh" in.npy "$c" "$h" "$w"
    "$CNNC" build "$net" --init=1 -A $allow --target-cpu=aarch64 --emit=exe,weights -o "$name" --dump-dir=dump -dg "$@" >log 2>&1 &&
        qemu-aarch64 -L /usr/aarch64-linux-gnu "./$name" --threads 2 --output out.npy in.npy >>log 2>&1 &&
        ./against dump/*.graph "$name.safetensors" in.npy out.npy 1e-5 >>log 2>&1
    result "cross_runs_$name" "$?"
    rm -rf dump
}
runs moves "$SRC/tests/api/cross.cnn:moves" 12 16 24
runs windows "$SRC/tests/api/cross.cnn:windows" 5 21 19
runs external "$SRC/tests/api/cross.cnn:windows" 5 21 19 --weights-mode=external
runs squeezenet squeezenet1_1 3 65 65 -i 3x65x65
runs mobilenet mobilenet_v3_small 3 64 64 -i 3x64x64
runs winograd resnet18 3 64 64 -i 3x64x64
"$CNNC" build squeezenet1_1 -i 3x65x65 --init=1 --prefix=sq --target-cpu=aarch64 --emit=so -o sq.so >log 2>&1 &&
    aarch64-linux-gnu-gcc -O1 -I"$SRC/include" "$SRC/tests/api/many.c" -ldl -lpthread -o many >log 2>&1 &&
    qemu-aarch64 -L /usr/aarch64-linux-gnu ./many 2 2 ./sq.so:sq >log 2>&1
result cross_shared_object "$?"
