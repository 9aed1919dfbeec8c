#!/bin/sh
# Refinement: what is found for the library's nets, and that sources are changed where they should be.
exec python3 -B "$SRC/tests/refine/refine_tests.py"
