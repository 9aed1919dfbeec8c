#!/bin/sh
# Every operator, compiled, against the reference implementation.
exec python3 -B "$SRC/tests/num/num_tests.py" "$@"
