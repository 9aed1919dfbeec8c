#!/bin/sh
# Generated code under guard pages and sanitizers: networks as LLVM IR whose functions are marked for
# the sanitizer, which clang then instruments like C; host program and runtime with them.
#   generated.sh guard|address|thread        env: CNNC SRC BUILD
# Prints PASS, FAIL and SKIP lines.
set -u
kind=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
clang=$(command -v clang-19 || command -v clang)
if [ -z "$clang" ]; then
    echo "SKIP san.generated_$kind: no clang"
    exit 0
fi
runtime=
for f in "$SRC"/runtime/cnnrt/*.c; do
    [ "$(basename "$f")" = program.c ] || runtime="$runtime $f"
done
bad=0

result() {
    if [ "$2" = 0 ]; then
        echo "PASS san.$1"
    else
        echo "FAIL san.$1: $(grep -m 4 -E 'ERROR|WARNING|runtime error|host:|rror' log | tr '\n' ' ')"
        bad=1
    fi
}

# networks of both kinds, small maps of odd sizes, all families of kernels between them
model() { # prefix net size cpu
    "$CNNC" build "$2" -i "3x$3x$3" --init=1 -q -A underutilized,unproductive --prefix="$1" \
        --weights-mode=external --max-batch=3 --target-cpu="$4" --emit=llvm-ir,obj,packed -o "$1"
}

pair() { # name cpu net size net size
    if ! { model a "$3" "$4" "$2" >log 2>&1 && model b "$5" "$6" "$2" >>log 2>&1; }; then
        result "$1" 1
        return
    fi
    case $kind in
    guard) # what users link
        # shellcheck disable=SC2086  # a list of files
        "$clang" -O1 -g -I"$SRC/include" -I"$SRC/runtime" -I"$SRC/runtime/cnnrt" "$SRC/tests/san/host.c" $runtime a.o b.o -lm -lpthread \
            -o host >log 2>&1
        ;;
    *)
        flags=-fsanitize=$kind
        [ "$kind" = address ] && flags="-fsanitize=address,undefined -fno-sanitize-recover=all"
        sed -i "s/^attributes #0 = {/& sanitize_$kind/" a.ll b.ll
        # shellcheck disable=SC2086
        "$clang" -w -O1 -g $flags -I"$SRC/include" -I"$SRC/runtime" -I"$SRC/runtime/cnnrt" "$SRC/tests/san/host.c" $runtime a.ll b.ll \
            -lm -lpthread -o host >log 2>&1
        ;;
    esac || {
        result "$1" 1
        return
    }
    nm host 2>/dev/null | grep -q "__${sign:-main}" || [ "$kind" = guard ] || {
        echo "the code is not instrumented: an error" >log
        result "$1" 1
        return
    }
    for side in after before; do
        ./host $side "${contexts:-4}" "${threads:-3}" a.packed b.packed >log 2>&1 && grep -q 'the same' log
        result "$1_$side" "$?"
    done
}

levels=x86-64
grep -q -w avx2 /proc/cpuinfo && levels="$levels x86-64-v3"
grep -q -w avx512vl /proc/cpuinfo && levels="$levels x86-64-v4"
[ "$(uname -m)" = x86_64 ] || levels=native
case $kind in
address) sign=asan_report_load ;;
thread) sign=tsan_read ;;
esac
for cpu in $levels; do
    [ "$kind" = thread ] && [ "$cpu" != "${levels##* }" ] && continue # threads are the same for all
    pair "${kind}_squeezenet_resnet18_$cpu" "$cpu" squeezenet1_1 65 resnet18 40
    pair "${kind}_mobilenet_convnext_$cpu" "$cpu" mobilenet_v3_small 33 convnext_tiny 32
    [ "$kind" = guard ] && pair "${kind}_efficientnet_densenet_$cpu" "$cpu" efficientnet_b0 41 densenet121 37
done
exit $bad
