#!/bin/sh
# The formatter. Environment: CNNC, SRC.
exec python3 -B "$(dirname "$0")/fmt_tests.py"
