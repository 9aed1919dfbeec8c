#!/bin/sh
# Compiled networks as a C program uses them: examples/c_host, the header under strict compilers, the
# libraries a shared object needs, the symbols it exports.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

result() {
    if [ "$2" = 0 ]; then echo "PASS api.$1"; else echo "FAIL api.$1: $(tail -c 300 log | tr '\n' ' ')"; fi
}

"$CNNC" build resnet50 --init=1 --emit=so,header -o resnet50 >log 2>&1
result build "$?"

cc -std=c17 -Wall -Wextra -Werror -O1 -I. "$SRC/examples/c_host/host.c" ./resnet50.so -lpthread -o host >log 2>&1 &&
    ./host >log 2>&1 && [ "$(grep -c 'batch 3' log)" = 3 ]
result two_threads_two_batches "$?"

for std in c99 c11 c17; do
    printf '#include "resnet50.h"\nint main(void) { return 0; }\n' >h.c
    cc -std=$std -pedantic -Wall -Wextra -Werror -fsyntax-only h.c >log 2>&1
    result "header_$std" "$?"
done
if command -v g++ >/dev/null 2>&1; then
    g++ -x c++ -pedantic -Wall -Wextra -Werror -fsyntax-only h.c >log 2>&1
    result header_cxx "$?"
else
    echo "SKIP api.header_cxx: no C++ compiler"
fi

ldd resnet50.so >log 2>&1
! grep -Ev 'linux-vdso|libc\.so|libm\.so|libpthread\.so|ld-linux' log >/dev/null
result only_c_library "$?"

nm -D --defined-only resnet50.so | awk '{print $3}' | grep -v '^resnet50_' >log
[ ! -s log ]
result exports_only_prefixed "$?"
