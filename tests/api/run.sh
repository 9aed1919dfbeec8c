#!/bin/sh
# Compiled networks as other programs use them: examples/c_host, headers under strict compilers, what
# a shared object needs and exports, many of them at once, the run path, external weights, the same
# bytes from two builds, a consumer built with pkg-config, installation.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

result() {
    if [ "$2" = 0 ]; then echo "PASS api.$1"; else echo "FAIL api.$1: $(tail -c 300 log | tr '\n' ' ')"; fi
}
strict="-pedantic -Wall -Wextra -Werror"

"$CNNC" build resnet50 --init=1 --emit=so,header -o resnet50 >log 2>&1
result build "$?"

# shellcheck disable=SC2086  # a list of options
cc -std=c17 $strict -O1 -I. "$SRC/examples/c_host/host.c" ./resnet50.so -lpthread -o host >log 2>&1 &&
    ./host >log 2>&1 && [ "$(grep -c 'batch 3' log)" = 3 ]
result two_threads_two_batches "$?"

ldd resnet50.so >log 2>&1
! grep -Ev 'linux-vdso|libc\.so|libm\.so|libpthread\.so|ld-linux' log >/dev/null
result only_c_library "$?"

nm -D --defined-only resnet50.so | awk '{print $3}' | grep -v '^resnet50_' >log
[ ! -s log ]
result exports_only_prefixed "$?"

# Two small networks, one with embedded and one with external weights, in every form.
forms=exe,so,obj,header,manifest,pkg-config,packed,weights,llvm-ir,asm
mkdir one two "a b"
"$CNNC" build squeezenet1_1 -i 3x65x65 --init=1 --prefix=squeeze --emit=$forms -o one/squeeze >log 2>&1 &&
    "$CNNC" build resnet18 -i 3x40x40 -A underutilized,unproductive --init=2 --prefix=other --weights-mode=external \
        --emit=$forms -o one/other >log 2>&1
result every_form "$?"

(
    cd two || exit 1
    umask 077
    TZ=Pacific/Auckland LC_ALL=C TMPDIR=$work/two HOME=/nonexistent \
        "$CNNC" build squeezenet1_1 -i 3x65x65 --init=1 --prefix=squeeze --emit=$forms -o ./squeeze
    sleep 1
    TMPDIR=$work/two "$CNNC" build resnet18 -i 3x40x40 -A underutilized,unproductive --init=2 --prefix=other \
        --weights-mode=external --emit=$forms -o "$work/two/other"
) >log 2>&1
diff -r one two >log 2>&1
result same_bytes_elsewhere "$?"

for std in c99 c11 c17; do
    printf '#include "one/squeeze.h"\n#include "one/other.h"\n#include "cnnrt.h"\nint main(void) { return 0; }\n' >h.c
    # shellcheck disable=SC2086
    cc -std=$std $strict -I"$SRC/include" -fsyntax-only h.c >log 2>&1
    result "headers_$std" "$?"
done
printf '#include "cnnrt.h"\n#include "one/squeeze.h"\nint main() { return CNNRT_OK; }\n' >h.cc
if command -v g++ >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    g++ -std=c++11 $strict -I"$SRC/include" -fsyntax-only h.cc >log 2>&1
    result headers_cxx "$?"
else
    echo "SKIP api.headers_cxx: no C++ compiler"
fi

cc -O1 -I"$SRC/include" "$SRC/tests/api/many.c" -ldl -lpthread -o many >log 2>&1 &&
    ./many 16 50 one/squeeze.so:squeeze ./resnet50.so:resnet50 >log 2>&1
result many_models_many_threads "$?"

for threads in 1 3; do
    cc -O1 -Ione -DMODEL_HEADER='"squeeze.h"' -DPREFIX=squeeze "$SRC/tests/api/run_path.c" one/squeeze.so -ldl \
        -o run_path >log 2>&1 && ./run_path squeeze.so $threads >log 2>&1
    result "run_path_allocates_nothing_$threads" "$?"
done

# Whatever is writable in the library belongs to the C start-up code.
nm one/squeeze.so one/other.so | awk '$2 ~ /^[dDbB]$/ && $3 !~ /^_|^completed|^__/ {print $3}' >log
[ ! -s log ]
result no_writable_symbols "$?"

# External weights: found beside the program, elsewhere with --weights, and never the wrong ones.
head -c $((128 + 3 * 40 * 40 * 4)) /dev/zero >zero.npy
printf '\223NUMPY\001\000\166\000' | dd of=zero.npy conv=notrunc 2>/dev/null
printf '%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 40, 40), }" |
    dd of=zero.npy bs=1 seek=10 conv=notrunc 2>/dev/null
one/other zero.npy >want 2>log && mv one/other.packed moved && ! one/other zero.npy >log 2>&1 &&
    grep -q 'other.packed: No such file' log && one/other --weights moved zero.npy | cmp - want >>log 2>&1
result external_weights_move "$?"
cp moved damaged && printf 'x' | dd of=damaged bs=1 seek=5000 conv=notrunc 2>/dev/null
! one/other --weights damaged zero.npy >log 2>&1 && grep -q 'not the one' log &&
    ! one/other --weights one/other.so zero.npy >log 2>&1 && grep -q 'not the one' log
result wrong_weights_are_refused "$?"
mv moved one/other.packed

"$CNNC" build resnet18 -i 3x40x40 -A underutilized,unproductive --init=2 --weights-mode=external --emit=so -o one/x.so >log 2>&1 &&
    cmp one/x.packed one/other.packed >log 2>&1
result one_so_brings_its_weights "$?"
! "$CNNC" build resnet18 --emit=pkg-config >log 2>&1 && grep -q 'needs so or obj' log
result pkg_config_needs_code "$?"

# Text forms make the same model, whose weights come at create.
clang=$(command -v clang-19 || command -v clang)
if [ -n "$clang" ]; then
    mkdir t
    "$clang" -w -O1 -fPIC -shared one/other.ll "$BUILD/lib/libcnnrt.a" -lm -lpthread -o t/other.so >log 2>&1 &&
        cc -DOTHER_HEADER='"squeeze.h"' -Ione -I"$SRC/include" "$SRC/tests/api/text_form.c" -ldl -o text_form >log 2>&1 &&
        ./text_form t/other.so one/other.so one/other.packed >log 2>&1
    result llvm_ir_is_the_same_network "$?"
else
    echo "SKIP api.llvm_ir_is_the_same_network: no clang"
fi
cc -shared one/other.s "$BUILD/lib/libcnnrt.a" -lm -lpthread -o asm.so >log 2>&1 &&
    cc -I"$SRC/include" "$SRC/tests/api/text_form.c" -ldl -o text_form >>log 2>&1 &&
    ./text_form ./asm.so one/other.so one/other.packed >>log 2>&1
result asm_is_the_same_network "$?"

# The manifest is JSON after its schema, and says what the files are.
python3 -B "$SRC/tests/api/manifest_tests.py" one >log 2>&1
result manifest "$?"

sh "$SRC/tests/api/variants.sh"
sh "$SRC/tests/api/cross.sh"

# Installation below a folder with a blank, and a consumer built with what was installed.
make -C "$SRC" --no-print-directory -s BUILD="$BUILD" DESTDIR="$work/a b" PREFIX=/usr install >log 2>&1
result install "$?"
"a b/usr/bin/cnnc" build squeezenet1_1 -i 3x65x65 --init=1 --prefix=squeeze --emit=obj,header,pkg-config -o "a b/squeeze" >log 2>&1
result installed_compiler "$?"
export PKG_CONFIG_PATH="$work/one:$work/a b/usr/lib/pkgconfig"
consume() { # compiler, module
    flags=$(pkg-config --cflags --libs "$2") &&
        eval "$1 -Wall -Wextra -Werror -DMODEL_HEADER='\"squeeze.h\"' -DOTHER_HEADER='\"other.h\"' '$SRC/tests/api/consumer.c' -I'$work/one' $flags -o consumer" &&
        ./consumer
}
if command -v pkg-config >/dev/null 2>&1; then
    consume cc squeeze >log 2>&1
    result consumer_of_shared_object "$?"
    if command -v g++ >/dev/null 2>&1; then
        consume "g++ -x c++" squeeze >log 2>&1
        result consumer_cxx "$?"
    fi
    PKG_CONFIG_PATH="$work/a b:$work/a b/usr/lib/pkgconfig"
    consume cc squeeze >log 2>&1
    result consumer_of_object "$?"
else
    echo "SKIP api.consumer: no pkg-config"
fi
make -C "$SRC" --no-print-directory -s BUILD="$BUILD" DESTDIR="$work/a b" PREFIX=/usr uninstall >log 2>&1
find "a b/usr" -type f >>log
[ ! -s log ]
result uninstall_leaves_nothing "$?"

sh "$SRC/tests/api/train.sh"
