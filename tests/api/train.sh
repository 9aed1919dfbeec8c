#!/bin/sh
# Libraries that train: examples/c_train through pkg-config, the functions of the header, checkpoints
# to and from cnnc, inference against cnnc run, headers, the manifest, what is refused.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

result() {
    if [ "$2" = 0 ]; then echo "PASS api.$1"; else echo "FAIL api.$1: $(tail -c 300 log | tr '\n' ' ')"; fi
}
strict="-pedantic -Wall -Wextra -Werror"
bars=$SRC/examples/c_train/bars.cnn

"$CNNC" build "$bars" --init=1 --mode=train --emit=so,header,pkg-config,manifest >log 2>&1
result train_build "$?"
if command -v pkg-config >/dev/null 2>&1; then
    # shellcheck disable=SC2086,SC2046
    cc -std=c17 $strict -O1 "$SRC/examples/c_train/train.c" $(pkg-config --cflags --libs ./bars.pc) -lm -o train >log 2>&1 &&
        ./train bars.safetensors >log 2>&1 && awk '/^right on/ { found = $3 > 90 } END { exit !found }' log
    result train_example "$?"
else
    echo "SKIP api.train_example: no pkg-config"
fi
ldd bars.so >log 2>&1
! grep -Ev 'linux-vdso|libc\.so|libm\.so|libpthread\.so|ld-linux' log >/dev/null
result train_only_c_library "$?"
nm -D --defined-only bars.so | awk '{print $3}' | grep -v '^bars_' >log
[ ! -s log ]
result train_exports_only_prefixed "$?"
# Constant tables with addresses in them are read-only once they are relocated.
nm -f sysv bars.so | awk -F'|' '$7 ~ /^\.(data|bss)$/ && $1 !~ /^ *(_|completed)/ {print $1}' >log
[ ! -s log ]
result train_no_writable_symbols "$?"

for std in c99 c17; do
    printf '#include "bars.h"\n#include "cnnrt.h"\nint main(void) { return 0; }\n' >h.c
    # shellcheck disable=SC2086
    cc -std=$std $strict -I. -I"$SRC/include" -fsyntax-only h.c >log 2>&1
    result "train_headers_$std" "$?"
done
if command -v g++ >/dev/null 2>&1; then
    printf '#include "bars.h"\nint main() { CnnrtValues v; return bars_train_find(0, "x", &v); }\n' >h.cc
    # shellcheck disable=SC2086
    g++ -std=c++11 $strict -I. -fsyntax-only h.cc >log 2>&1
    result train_headers_cxx "$?"
else
    echo "SKIP api.train_headers_cxx: no C++ compiler"
fi

# The object form, with two passes to an update: everything else comes from libcnntrain and libcnnrt.
mkdir two
(cd two && "$CNNC" build "$bars" -p classes=10 --init=1 --mode=train --set grad-accum-steps=2 --emit=obj,header) >log 2>&1 &&
    cc -O1 -Itwo -I"$SRC/include" "$SRC/tests/api/trainer.c" two/bars.o "$BUILD/lib/libcnntrain.a" \
        "$BUILD/lib/libcnnrt.a" -lm -lpthread -o trainer >log 2>&1
result train_object "$?"
./trainer two >log 2>&1
result train_functions "$?"

# Initial parameters in a file of their own.
"$CNNC" build "$bars" --init=1 --mode=train --weights-mode=external --emit=so,header -o ex >log 2>&1 &&
    printf '#include "ex.h"\n#include <stdio.h>\nint main(void) { const float *w; CnnrtTrainer *t; int s = bars_train_create(&t, NULL, 1); if (s != CNNRT_NO_WEIGHTS) return 1; s = bars_train_weights_map(bars_WEIGHTS_FILE, &w); if (s == 0) s = bars_train_create(&t, w, 1); bars_train_weights_unmap(w); bars_train_destroy(t); puts(bars_strerror(s)); return s; }\n' >ex.c &&
    cc ex.c ./ex.so -o external >log 2>&1 && ./external >log 2>&1
result train_external_parameters "$?"

# A checkpoint of the library in cnnc train, and the other way round: 64 grey pictures of 24 x 24.
python3 -B - >log 2>&1 <<'PY'
import os, struct
os.mkdir("data")
for part in "train", "t10k":
    with open(f"data/{part}-images-idx3-ubyte", "wb") as f:
        f.write(struct.pack(">4I", 2051, 64, 24, 24) + bytes((i * 7919) % 251 for i in range(64 * 576)))
    with open(f"data/{part}-labels-idx1-ubyte", "wb") as f:
        f.write(struct.pack(">2I", 2049, 64) + bytes(i % 10 for i in range(64)))
PY
mkdir run && cp two/bars.safetensors run/last.safetensors
"$CNNC" train "$bars" -p classes=10 --set grad-accum-steps=2 --set epochs=3 --data idx:data --resume -o run >log 2>&1 &&
    grep -q 'resumed from run/last.safetensors: epoch 3, update 1$' log
result train_cnnc_resumes "$?"
./trainer two run/last.safetensors >log 2>&1 && grep -q '^no error  2 3$' log
result train_library_resumes "$?"
cp run/log.jsonl damaged && ! ./trainer two damaged >log 2>&1 && grep -q 'damaged' log
result train_damaged_checkpoint "$?"

# Inference on the trained parameters is that of cnnc run with the checkpoint. Gates, hard swish and
# depthwise convolutions; normalisations before convolutions, concatenations; layer norms.
cc -O1 -I"$SRC/include" "$SRC/tests/api/evaluate.c" "$BUILD/lib/libcnnrt.a" -ldl -lm -lpthread -o evaluate >log 2>&1
result train_evaluate_builds "$?"
evaluate() { # name, first head where there are two, net and its options
    name=$1 to=$2$1.npy
    shift 2
    "$CNNC" build "$@" -A underutilized,unproductive --init=1 --mode=train --max-batch=3 --prefix=net --emit=so -o "$name.so" >log 2>&1 &&
        ./evaluate "./$name.so" net "$name.ckpt" 0 >log 2>&1 &&
        "$CNNC" run "$@" -A underutilized,unproductive --weights="$name.ckpt" --input="$name.ckpt.in.npy" -o "$to" >log 2>&1 &&
        python3 -B "$SRC/tests/api/near.py" "$name.npy" "$name.ckpt.out.npy" 1e-5 >log 2>&1
    result "train_evaluates_$name" "$?"
}
evaluate bars "" "$bars" --no-ema
evaluate mobilenet_v3_small "" mobilenet_v3_small -p classes=10 -i 3x64x64
evaluate mixture map= "$SRC/tests/api/mixture.cnn"

python3 -B "$SRC/tests/api/manifest_tests.py" . bars >log 2>&1
result train_manifest "$?"
refused() { # name, text, options
    name=$1 text=$2
    shift 2
    "$CNNC" build "$bars" --init=1 "$@" >log 2>&1
    [ $? = 2 ] && grep -q -- "$text" log
    result "train_refuses_$name" "$?"
}
refused mode "inference or train" --mode=learn
refused program "makes a library" --mode=train
refused text "not llvm-ir" --mode=train --emit=so,llvm-ir
refused setting "for --mode=train" --set lr=1 --emit=so
