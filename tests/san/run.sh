#!/bin/sh
# Everything that reads what others wrote, once more under the address and undefined-behaviour
# sanitizers: sources, graphs, weights, arrays, pictures, the command line. Compiled networks beside
# pages that cannot be touched. make check-san and check-tsan do more.
set -u
tests="test_fuzz_front test_ir test_import test_pictures test_syntax test_elab
test_doc test_format test_textdiff test_data"
san=$BUILD/san
targets=$san/bin/cnnc
for t in $tests; do
    [ -f "$SRC/tests/unit/$t.c" ] && targets="$targets $san/tests/$t"
done
# shellcheck disable=SC2086  # a list of names without blanks
if ! make -C "$SRC" --no-print-directory -s -j"$(nproc)" BUILD="$san" SAN=address,undefined CFLAGS="-O1 -g" $targets >"$BUILD/san.log" 2>&1; then
    echo "FAIL san.build: $(tail -n 3 "$BUILD/san.log" | tr '\n' ' ')"
    exit 1
fi
bad=0
for t in $targets; do
    name=$(basename "$t")
    [ "$name" = cnnc ] && continue
    if (cd "$SRC" && timeout 600 "$t") >"$BUILD/san.log" 2>&1; then
        echo "PASS san.$name"
    else
        echo "FAIL san.$name: $(grep -m 3 -E 'ERROR|runtime error|FAILED' "$BUILD/san.log" | tr '\n' ' ')"
        bad=1
    fi
done
for net in resnet18 efficientnet_b0 convnext_tiny; do
    "$san/bin/cnnc" summary $net --format=json >/dev/null 2>"$BUILD/san.log"
    if grep -q -E 'Sanitizer|runtime error' "$BUILD/san.log"; then
        echo "FAIL san.summary_$net: $(grep -m 1 -E 'Sanitizer|runtime error' "$BUILD/san.log")"
        bad=1
    else
        echo "PASS san.summary_$net"
    fi
done
sh "$SRC/tests/san/generated.sh" guard || bad=1
exit $bad
