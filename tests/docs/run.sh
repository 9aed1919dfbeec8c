#!/bin/sh
# Documentation: examples and pages.
status=0
python3 -B "$SRC/tests/docs/doc_tests.py" || status=1
python3 -B "$SRC/tests/docs/page_tests.py" || status=1
exit $status
