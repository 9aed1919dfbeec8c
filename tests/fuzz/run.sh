#!/bin/sh
# The committed corpus of every fuzz target once more, under sanitizers: what was found stays fixed.
set -u
san=$BUILD/san
bad=0
if ! make -C "$SRC" --no-print-directory -s -j"$(nproc)" BUILD="$san" SAN=address,undefined CFLAGS="-O1 -g" fuzz-replay >"$BUILD/fuzz.log" 2>&1; then
    echo "FAIL fuzz.build: $(tail -n 3 "$BUILD/fuzz.log" | tr '\n' ' ')"
    exit 1
fi
for dir in "$SRC"/tests/fuzz/corpus/*; do
    target=$(basename "$dir")
    if timeout 300 "$san/replay/$target" "$dir"/* >"$BUILD/fuzz.log" 2>&1; then
        echo "PASS fuzz.$target ($(find "$dir" -type f | wc -l) inputs)"
    else
        echo "FAIL fuzz.$target: $(grep -m 3 -E 'ERROR|not so|runtime error' "$BUILD/fuzz.log" | tr '\n' ' ') $(grep corpus "$BUILD/fuzz.log" | tail -n 1)"
        bad=1
    fi
done
# Prefixes and missing words of the library: all of them with CHECK_FULL=1, else a sample.
step=11
[ -n "${CHECK_FULL:-}" ] && step=1
if make -C "$SRC" --no-print-directory -s BUILD="$BUILD" "$BUILD/replay/prefixes" >"$BUILD/fuzz.log" 2>&1 &&
    tried=$("$BUILD/replay/prefixes" $step "$SRC"/stdlib/*.cnn 2>"$BUILD/fuzz.log"); then
    echo "PASS fuzz.prefixes ($tried sources)"
else
    echo "FAIL fuzz.prefixes: $(tail -n 2 "$BUILD/fuzz.log" | tr '\n' ' ')"
    bad=1
fi
exit $bad
