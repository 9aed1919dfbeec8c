#!/bin/sh
# Runs the test groups and closes with counts. A group is a unit program, the golden runner, or an
# executable tests/<group>/run.sh that prints lines "PASS name", "FAIL name", "SKIP name: reason".
# usage: run_all.sh [GROUP...]       env: CNNC BUILD SRC, UNIT_LIMIT (seconds for one unit program),
#   UNIT_LEAVE (a pattern of unit programs not to run)
set -u
results=$BUILD/test-results
rm -rf "$results"
mkdir -p "$results"
# what was tuned on this machine has no part in the tests
export XDG_CACHE_HOME="$BUILD/test-results/cache"

wanted() {
    [ -z "$only" ] && return 0
    case " $only " in *" $1 "*) return 0 ;; esac
    return 1
}

unit() {
    for program in "$BUILD"/tests/test_*; do
        [ -x "$program" ] || continue
        case $program in *.d) continue ;; esac
        name=$(basename "$program")
        # shellcheck disable=SC2254  # a pattern
        case $name in ${UNIT_LEAVE:-none}) continue ;; esac
        if CMOCKA_MESSAGE_OUTPUT=tap timeout "${UNIT_LIMIT:-300}" "$program" >"$results/$name.tap" 2>"$results/$name.err"; then
            status=0
        else
            status=$?
        fi
        awk -v p="$name" '
            /^ok [0-9]/     { line = $0; sub(/^ok [0-9]+ - /, "", line)
                              if (line ~ /# SKIP/) print "SKIP " p "." line ": the test says so"
                              else print "PASS " p "." line; n++ }
            /^not ok [0-9]/ { line = $0; sub(/^not ok [0-9]+ - /, "", line); print "FAIL " p "." line; n++ }
            END { if (n == 0) print "FAIL " p " (ran no test)" }' "$results/$name.tap"
        # a crash after the last reported test must not pass
        if [ "$status" -gt 124 ] || { [ "$status" != 0 ] && ! grep -q '^not ok' "$results/$name.tap"; }; then
            echo "FAIL $name (exit status $status)"
        fi
    done
}

only="$*"
for group in unit lang $(cd "$SRC/tests" && find . -path './*/run.sh' | sort | cut -d/ -f2); do
    wanted "$group" || continue
    start=$(date +%s)
    case $group in
    unit) unit >"$results/unit.txt" ;;
    lang)
        [ -f "$SRC/tests/lang_tests.py" ] || continue
        python3 "$SRC/tests/lang_tests.py" >"$results/lang.txt" 2>"$results/lang.err" ||
            { [ -s "$results/lang.txt" ] || echo "FAIL lang (the runner failed)" >"$results/lang.txt"; }
        ;;
    *)
        "$SRC/tests/$group/run.sh" >"$results/$group.txt" 2>"$results/$group.err"
        status=$?
        if [ "$status" != 0 ] && ! grep -q '^FAIL' "$results/$group.txt"; then
            echo "FAIL $group/run.sh (exit status $status)" >>"$results/$group.txt"
        fi
        ;;
    esac
    printf '%-10s %4d passed %4d failed %4d skipped  %3d s\n' "$group" \
        "$(grep -c '^PASS' "$results/$group.txt")" "$(grep -c '^FAIL' "$results/$group.txt")" \
        "$(grep -c '^SKIP' "$results/$group.txt")" "$(($(date +%s) - start))"
    grep -E '^(FAIL|SKIP)' "$results/$group.txt"
done

cat "$results"/*.txt >"$results/all"
passed=$(grep -c '^PASS' "$results/all")
failed=$(grep -c '^FAIL' "$results/all")
skipped=$(grep -c '^SKIP' "$results/all")
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
