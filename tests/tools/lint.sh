#!/bin/sh
# What the compiler cannot check: layers, lengths, names, README lists, shell scripts.
set -u
cd "$(dirname "$0")/../.." || exit 70
BUILD=${BUILD:-build}
bad=0
complain() {
    echo "lint: $*"
    bad=1
}

sources=$(git ls-files --cached --others --exclude-standard 'src/*.[chyl]' 'runtime/*.[ch]' 'include/*.h' 'tests/*.[ch]' 'examples/*.c' 'src/*.def' 'grammar/*.[yl]')

# shellcheck disable=SC2086  # lists of plain names
awk -f tests/tools/layers.awk src/LAYERS $(echo "$sources" | grep '^src/') || bad=1

# shellcheck disable=SC2086
awk '
    FNR == 1 { if (n > 800) print file ": " n " lines, at most 800"; file = FILENAME }
    { n = FNR }
    length($0) > 100 && file !~ /ops\.def|options\.def|diag\.def|optim\.def/ { print file ":" FNR ": longer than 100 columns" }
    END { if (n > 800) print file ": " n " lines, at most 800" }' $sources >/tmp/cnnc-lint.$$
# a function is what stands between a { and a } in the first column
# shellcheck disable=SC2086
awk '
    /^\{/ { start = FNR }
    /^\}/ && start { if (FNR - start > 80) print FILENAME ":" start ": function of " FNR - start " lines, at most 80"; start = 0 }' \
    $(echo "$sources" | grep '\.[c]$') >>/tmp/cnnc-lint.$$
while read -r line; do complain "$line"; done </tmp/cnnc-lint.$$
rm -f /tmp/cnnc-lint.$$

for dir in $(echo "$sources" | xargs -n1 dirname | sort -u) stdlib docs examples tests/tools; do
    if [ ! -f "$dir/README.md" ]; then
        case $dir in src/codegen/* | tests/unit | tests/tools | examples/*) continue ;; esac
        complain "$dir has no README.md"
        continue
    fi
    for f in "$dir"/*.c "$dir"/*.h "$dir"/*.def "$dir"/*.cnn; do
        [ -f "$f" ] || continue
        grep -q "$(basename "$f")" "$dir/README.md" || complain "$dir/README.md does not list $(basename "$f")"
    done
done

# every diagnostic is expected by some test
if [ -d tests/lang ]; then
    for code in $(sed -n 's/^DIAG([A-Z_0-9]*, "\([EW][0-9]*\)".*/\1/p' src/support/diag.def); do
        grep -rqs "$code" tests/lang tests/unit tests/cli || echo "lint: note: no test expects $code"
    done
fi
# every operator has a reference function and a line in the manual
for op in $(sed -n 's/^OP([A-Z_0-9]*, "\([a-z_0-9]*\)".*/\1/p' src/ops/ops.def); do
    [ "$op" = input ] && continue
    grep -qs "$op" grammar/README.md || complain "grammar/README.md does not mention operator $op"
done

if [ -x "$BUILD/bin/cnnc" ]; then
    # exported symbols of the runtime share a name space with user programs
    nm -g --defined-only "$BUILD/lib/libcnnrt.a" 2>/dev/null | awk 'NF == 3 && $3 !~ /^cnnrt_/ && $3 != "main" { print $3 }' |
        while read -r s; do echo "lint: libcnnrt.a exports $s without the prefix cnnrt_"; done
fi
if command -v shellcheck >/dev/null 2>&1; then
    # shellcheck disable=SC2046
    shellcheck $(git ls-files '*.sh') .ci/run || bad=1
fi
[ "$bad" = 0 ] && echo "lint: clean"
exit "$bad"
