#!/bin/sh
# Prints a C file that holds the texts of files. First argument: "stdlib" (the standard library) or
# "pages" (what `cnnc explain` prints).
set -eu
case $1 in
stdlib) header=sema/stdlib_data.h type=CnncStdFile name=cnnc_std_file ;;
pages) header=support/explain.h type=ExplainFile name=explain_file ;;
*) exit 2 ;;
esac
shift
echo '/* Generated. */'
echo "#include \"$header\""
n=0
for f in "$@"; do
    printf 'static const unsigned char text%d[] = {' "$n"
    od -An -v -tu1 "$f" | sed 's/  */,/g; s/^,/\n/; s/$/,/' | tr -d '\n' | sed 's/,,*/,/g; s/^,//'
    echo '0};'
    n=$((n + 1))
done
echo "const $type ${name}s[] = {"
n=0
for f in "$@"; do
    printf '    {"%s", text%d, sizeof text%d - 1},\n' "$(basename "$f")" "$n" "$n"
    n=$((n + 1))
done
echo '};'
printf 'const unsigned %s_count = %d;\n' "$name" "$n"
