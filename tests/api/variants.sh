#!/bin/sh
# One network for several processors; called by run.sh in its folder of work.
set -u
result() {
    if [ "$2" = 0 ]; then echo "PASS api.$1"; else echo "FAIL api.$1: $(tail -c 300 log | tr '\n' ' ')"; fi
}
strict="-pedantic -Wall -Wextra -Werror"
if [ "$(uname -m)" != x86_64 ]; then
    echo "SKIP api.variants: only levels of x86-64 are told apart"
    exit 0
fi
mkdir variants variants/again && cd variants || exit 1
here="x86-64-v2"
grep -qw avx2 /proc/cpuinfo && here="x86-64-v3 $here"
grep -qw avx512vl /proc/cpuinfo && here="x86-64-v4 $here"
forms=exe,so,obj,header,manifest,packed,llvm-ir,asm
build() { # weights mode, name
    "$CNNC" build squeezenet1_1 -i 3x65x65 --init=1 --prefix=sq "--weights-mode=$1" -o "$2" \
        --target-cpu="$3" --emit=$forms
}
build embed em x86-64-v3,x86-64-v4,x86-64-v2 >log 2>&1 && build external ex x86-64-v4,haswell,nehalem >>log 2>&1
result variants_every_form "$?"
build embed again/em nehalem,x86-64-v3,znver4 >log 2>&1 && (for f in em*; do
    cmp "$f" "again/$f" || exit 1
done) >>log 2>&1
result variants_same_bytes_in_any_order "$?"

cc -O1 -Wall -Wextra -Werror -I"$SRC/include" "$SRC/tests/api/variants.c" -ldl -lm -o check >log 2>&1
# shellcheck disable=SC2086  # a list of processors
./check ./em.so sq . $here >>log 2>&1
result variants_agree_embedded "$?"
# shellcheck disable=SC2086
./check ./ex.so sq . $here >log 2>&1
result variants_agree_external "$?"
cc -shared em.o "$BUILD/lib/libcnnrt.a" -lm -lpthread -o from_object.so >log 2>&1
# shellcheck disable=SC2086
./check ./from_object.so sq . $here >>log 2>&1
result variants_agree_object "$?"

nm -D --defined-only em.so ex.so | awk 'NF == 3 {print $3}' | grep -E -v '^sq_[a-z]+(_[a-z]+)?$' >log
[ ! -s log ]
result variants_export_no_more "$?"
for std in c99 c++11; do
    printf '#include "em.h"\nint main(void) { return sq_VARIANTS == 3 ? 0 : 1; }\n' >h.c
    # shellcheck disable=SC2086
    cc -x "${std%%[019]*}" -std=$std $strict -fsyntax-only h.c >log 2>&1
    result "variants_header_$std" "$?"
done
cat em.h ex.h >log
grep -q 'sq_VARIANT0_CPU "x86-64-v4"' em.h && grep -q 'sq_VARIANT2_WEIGHTS_FILE "ex.x86-64-v2.packed"' ex.h &&
    ! grep -q sq_WEIGHTS_FILE ex.h
result variants_header_lists_them "$?"
python3 -B "$SRC/tests/api/manifest_tests.py" variants . >log 2>&1
result variants_manifest "$?"

# Programs: the weights that lie beside them are those of the variant that runs.
"$SRC/tests/api/ramp.sh" ramp.npy 3 65 65
CNNC_CPU=x86-64-v2 ./em ramp.npy --top 3 2>log | awk '{print $1}' >ranks
[ "$(wc -l <ranks)" = 4 ] && (for cpu in $here; do
    for program in ./em ./ex; do
        CNNC_CPU=$cpu $program ramp.npy --top 3 | awk '{print $1}' | cmp - ranks || exit 1
    done
done) >>log 2>&1
result variants_program "$?"
mv ex.x86-64-v2.packed moved && ! CNNC_CPU=x86-64-v2 ./ex ramp.npy >log 2>&1 &&
    grep -q 'ex.x86-64-v2.packed: No such file' log
result variants_program_names_its_weights "$?"
CNNC_CPU=z80 ./em ramp.npy >log 2>&1
[ $? = 3 ] && grep -q 'CNNC_CPU=z80: this program has no such variant' log
result variants_program_forced "$?"

# Processors that are not this one: told apart, and refused.
if command -v qemu-x86_64 >/dev/null 2>&1; then
    build embed high x86-64-v3,x86-64-v4 >log 2>&1 && qemu-x86_64 -cpu qemu64 ./high ramp.npy >log 2>&1
    [ $? = 3 ] && grep -q 'this processor lacks instructions' log
    result variants_none_suffices "$?"
    qemu-x86_64 -cpu Nehalem ./em ramp.npy --top 3 2>log | awk '{print $1}' | cmp - ranks >>log 2>&1
    result variants_chosen_on_nehalem "$?"
else
    echo "SKIP api.variants_none_suffices: no qemu-x86_64"
    echo "SKIP api.variants_chosen_on_nehalem: no qemu-x86_64"
fi

# What is refused: two names of the same code, too many, none, another architecture, other commands.
refused() { # exit code, words of the message, arguments
    code=$1 words=$2
    shift 2
    "$CNNC" "$@" squeezenet1_1 -i 3x65x65 --init=1 >log 2>&1
    [ $? = "$code" ] && grep -q "$words" log
}
refused 2 'are the same code' build --target-cpu=haswell,x86-64-v3 &&
    refused 2 'at most 4' build --target-cpu=x86-64,x86-64-v2,x86-64-v3,x86-64-v4,znver5 &&
    refused 2 'empty name' build --target-cpu=x86-64-v2,,x86-64-v3 &&
    refused 2 'only levels of x86-64' build --target-cpu=x86-64-v2,aarch64 &&
    refused 2 'several files' build --target-cpu=x86-64-v2,x86-64-v3 --emit=asm -o - &&
    refused 2 'works for one processor' bench --target-cpu=x86-64-v2,x86-64-v3 &&
    refused 3 "unknown processor 'z80'" build --target-cpu=x86-64-v2,z80
result variants_refusals "$?"
