#!/bin/sh
# What make check-san and make check-tsan run, once everything is built with sanitizers below
# $BUILD/san or $BUILD/tsan. Closes with counts like run_all.sh.
#   check.sh address|thread        env: BUILD (the plain build) SRC
set -u
kind=$1
plain=$BUILD
export SRC
symbolizer=$(command -v llvm-symbolizer-19 || command -v llvm-symbolizer)
: "${symbolizer:=none}"
# a finding ends the program with a code that no test expects
# intercept_tls_get_addr=0: else the leak check follows thread-local blocks of shared objects that
# are closed by then (LLVM, generated code), and now and then dies of it ("Tracer caught signal 11")
export ASAN_OPTIONS="exitcode=99:detect_stack_use_after_return=1:strict_string_checks=1:intercept_tls_get_addr=0"
# the emulator of GPUs takes ten times as long
export UNIT_LIMIT=2400
export UBSAN_OPTIONS="exitcode=99:print_stacktrace=1:halt_on_error=1"
export TSAN_OPTIONS="exitcode=99:halt_on_error=1:suppressions=$SRC/tests/san/tsan.supp"
export LSAN_OPTIONS="suppressions=$SRC/tests/san/lsan.supp:print_suppressions=0"

if [ "$kind" = address ]; then
    BUILD=$plain/san
    flags="-fsanitize=address,undefined"
    # what is left out, and why
    left="san: it is this; fuzz: builds and runs itself with sanitizers; nets, num: hours, and their code is generated, see \
generated.sh; oom: preloads an allocator of its own; api: loads shared objects into plain programs, and counts allocations"
    groups="unit lang cli docs fmt pass refine hostile"
else
    BUILD=$plain/tsan
    flags="-fsanitize=thread"
    left="test_simt_*: the emulator of GPUs is one thread, and switches stacks behind the sanitizer's back; all other groups: \
they start no threads of their own"
    export UNIT_LEAVE="test_simt_*"
    groups="unit"
fi
export BUILD
CNNC=$BUILD/bin/cnnc
export CNNC

# The linker of cnnc build must bring the sanitizers that the runtime library calls.
mkdir -p "$BUILD/cc"
for name in cc gcc; do
    printf '#!/bin/sh\nexec /usr/bin/gcc %s "$@"\n' "$flags" >"$BUILD/cc/$name"
    chmod +x "$BUILD/cc/$name"
done
CC=$BUILD/cc/cc
export CC

log=$BUILD/check.txt
{
    # shellcheck disable=SC2086  # a list of groups
    sh "$SRC/tests/run_all.sh" $groups | grep -v ' passed, '
    BUILD=$plain CNNC=$plain/bin/cnnc sh "$SRC/tests/san/generated.sh" "$kind"
    [ "$kind" = thread ] && sh "$SRC/tests/san/compiler_threads.sh"
    echo "left out: $left"
} | tee "$log"
passed=$(($(grep -c '^PASS' "$log") + $(cat "$BUILD"/test-results/*.txt | grep -c '^PASS')))
failed=$(grep -c '^FAIL' "$log")
skipped=$(grep -c '^SKIP' "$log")
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
