#!/bin/sh
# Prints a C file that holds the given .cnn files: the standard library, embedded in the compiler.
set -eu
echo '/* Generated from stdlib/. */'
echo '#include "sema/stdlib_data.h"'
n=0
for f in "$@"; do
    printf 'static const unsigned char text%d[] = {' "$n"
    od -An -v -tu1 "$f" | sed 's/  */,/g; s/^,/\n/; s/$/,/' | tr -d '\n' | sed 's/,,*/,/g; s/^,//'
    echo '0};'
    n=$((n + 1))
done
echo 'const CnncStdFile cnnc_std_files[] = {'
n=0
for f in "$@"; do
    printf '    {"%s", text%d, sizeof text%d - 1},\n' "$(basename "$f")" "$n" "$n"
    n=$((n + 1))
done
echo '};'
printf 'const unsigned cnnc_std_file_count = %d;\n' "$n"
