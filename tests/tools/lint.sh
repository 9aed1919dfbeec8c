#!/bin/sh
# What the compiler cannot check: layers, layout, lengths, names, README lists, untested table rows,
# shell scripts. Prints what is wrong, one line each; exit 1 if anything is.
set -u
cd "$(dirname "$0")/../.." || exit 70
BUILD=${BUILD:-build}
found=$(mktemp) || exit 70
trap 'rm -f "$found"' EXIT
complain() {
    echo "$*" >>"$found"
}
ours() {
    git ls-files --cached --others --exclude-standard "$@"
}
c_files=$(ours 'src/*.[ch]' 'runtime/*.[ch]' 'include/*.h' 'tests/*.[ch]' 'examples/*.c')
sources="$c_files $(ours 'src/*.def' 'runtime/*.def' 'grammar/*.[yl]')"

# Lists of plain names are meant to split.
# shellcheck disable=SC2086
{
    # shellcheck disable=SC2046
    awk -f tests/tools/layers.awk src/LAYERS $(printf '%s\n' $sources | grep '^src/')

    # The wide tables are one row per thing, as wide as it takes.
    awk '
        FNR == 1 { if (n > 800) print file ": " n " lines, at most 800"; file = FILENAME }
        { n = FNR }
        length($0) > 100 && file !~ /(ops|options?|diag|optim|timm)\.def/ {
            print file ":" FNR ": longer than 100 columns" }
        END { if (n > 800) print file ": " n " lines, at most 800" }' $sources

    # A function is what stands between a { and a } in the first column.
    awk '
        /^\{/ { start = FNR }
        /^\}/ && start {
            if (FNR - start > 80)
                print FILENAME ":" start ": function of " FNR - start " lines, at most 80"
            start = 0
        }' $c_files
} >>"$found" 2>&1

# Versions differ in details; the layout is that of Debian 12's.
if clang-format --version 2>/dev/null | grep -q ' 14\.'; then
    for f in $c_files; do
        clang-format "$f" | cmp -s - "$f" || complain "$f: not as clang-format has it (make format)"
    done
else
    echo "lint: no clang-format 14, layout not checked"
fi

for dir in $(printf '%s\n' "$sources" | xargs -n1 dirname | sort -u) stdlib docs examples tests/tools; do
    if [ ! -f "$dir/README.md" ]; then
        case $dir in src/codegen/* | tests/unit | tests/tools | examples/*) continue ;; esac
        complain "$dir has no README.md"
        continue
    fi
    for f in "$dir"/*.c "$dir"/*.h "$dir"/*.def "$dir"/*.cnn; do
        [ -f "$f" ] || continue
        grep -q "$(basename "$f")" "$dir/README.md" ||
            complain "$dir/README.md does not list $(basename "$f")"
    done
done

# Every diagnostic is expected by some test.
sed -n 's/^DIAG([A-Z_0-9]*, "\([EW][0-9]*\)".*/\1/p' src/support/diag.def | while read -r code; do
    grep -rqs "$code" tests/lang tests/unit tests/cli ||
        grep -qs "#~.*$code" grammar/README.md ||
        complain "no test expects $code"
done
# Every operator is in the manual; that it has a reference function and a test is checked by tests.
sed -n '/OPF_INTERNAL/d; s/^OP([A-Z_0-9]*, "\([a-z_0-9]*\)".*/\1/p' src/ops/ops.def | while read -r op; do
    grep -qs "$op" grammar/README.md || complain "grammar/README.md does not mention operator $op"
done

# Exported symbols of the runtime share a name space with its users' programs.
for name in cnnrt cnntrain cnndata; do
    if [ -f "$BUILD/lib/lib$name.a" ]; then
        nm -g --defined-only "$BUILD/lib/lib$name.a" 2>/dev/null | awk -v name="$name" '
            NF == 3 && index($3, name "_") != 1 && $3 != "main" {
                print "lib" name ".a exports " $3 " without the prefix " name "_" }' >>"$found"
    else
        echo "lint: no lib$name.a is built, exported names not checked"
    fi
done

if [ -x "$BUILD/bin/cnnc" ]; then
    "$BUILD/bin/cnnc" fmt --check stdlib/*.cnn examples/*/*.cnn 2>&1 | sed 's/$/: not as cnnc fmt has it (make format)/' >>"$found"
else
    echo "lint: no cnnc, the layout of networks not checked"
fi

if command -v shellcheck >/dev/null 2>&1; then
    # shellcheck disable=SC2046
    shellcheck -f gcc $(ours '*.sh') .ci/run >>"$found"
else
    echo "lint: no shellcheck, scripts not checked"
fi

sed 's/^/lint: /' "$found"
[ -s "$found" ] && exit 1
echo "lint: clean"
