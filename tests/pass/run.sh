#!/bin/sh
# Golden tests of passes: X.graph through `cnnc pass NAME` must print X.NAME, for every such file.
# Plans are for x86-64-v3, whatever this machine is.
set -u
cd "$(dirname "$0")" || exit 70
got=$(mktemp) || exit 70
trap 'rm -rf "$got" "$got.err" "$got.d"' EXIT
verdict() { # NAME CONDITION...
    name=$1
    shift
    if "$@"; then echo "PASS $name"; else echo "FAIL $name"; fi
}
for graph in *.graph; do
    base=${graph%.graph}
    for want in "$base".*; do
        pass=${want##*.}
        [ "$pass" = graph ] && pass="read"
        cpu=
        [ "$pass" = plan ] && cpu=--target-cpu=x86-64-v3
        [ "$pass" = gpu ] && pass=plan cpu=--target=cuda
        if "$CNNC" pass "$pass" $cpu "$graph" >"$got" 2>"$got.err" && diff -u "$want" "$got" >&2; then
            echo "PASS $base.$pass"
        else
            cat "$got.err" >&2
            echo "FAIL $base.$pass"
        fi
    done
done

# What --dump-dir writes is what the passes print; --stop-after ends there, with success.
files() {
    "$CNNC" build resnet18 --init=1 -q --target-cpu=x86-64-v3 --stop-after=llvm --dump-dir="$got.d" &&
        [ "$(cd "$got.d" && echo *)" = "resnet.cnn.ast resnet18.fused resnet18.graph resnet18.ll resnet18.plan" ] &&
        "$CNNC" pass fuse "$got.d/resnet18.graph" | cmp - "$got.d/resnet18.fused" &&
        "$CNNC" pass plan --target-cpu=x86-64-v3 "$got.d/resnet18.graph" | cmp - "$got.d/resnet18.plan" &&
        "$CNNC" pass read "$got.d/resnet18.graph" | cmp - "$got.d/resnet18.graph"
}
verdict stages.files files
early() {
    "$CNNC" build resnet18 --init=1 -q --stop-after=plan -dt -o "$got.d/none" 2>"$got.err" &&
        cmp "$got.err" "$got.d/resnet18.fused" && [ ! -e "$got.d/none" ] &&
        "$CNNC" check mobilenet_v1 --stop-after=graph # the refusal comes later
}
verdict stages.early early
refused() {
    for args in "check resnet18 -dz" "check resnet18 --stop-after=plan" "run resnet18 --stop-after=no" \
        "pass none x.graph" "pass read"; do
        # shellcheck disable=SC2086
        "$CNNC" $args >"$got" 2>"$got.err"
        [ $? = 2 ] && [ ! -s "$got" ] && [ -s "$got.err" ] || return 1
    done
}
verdict stages.refused refused
