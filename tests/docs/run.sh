#!/bin/sh
# The examples of the documents: they are checked as they stand there.
exec python3 -B "$SRC/tests/docs/doc_tests.py"
