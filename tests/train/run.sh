#!/bin/sh
# train and eval: learning, folders of runs, resuming bit by bit, crashes, what is refused; steps
# beside PyTorch's.
# Environment: CNNC, SRC, BUILD; T=part-of-name runs some of the files; CHECK_FULL=1: more crashes.
set -u
mkdir -p "$BUILD/tests"
SHIM=$BUILD/tests/train_hostile.so
export SHIM
if ! ${CC:-cc} -O1 -shared -fPIC -o "$SHIM" "$SRC/tests/hostile/hostile.c" -ldl; then
    echo "FAIL train.build"
    exit 1
fi
status=0
for f in "$SRC"/tests/train/*_tests.py; do
    case $f in *"${T:-}"*) python3 -B "$f" || status=1 ;; esac
done
# shellcheck disable=SC2194  # the name of a file
case torch in *"${T:-}"*) sh "$SRC/tests/train/torch.sh" || status=1 ;; esac
exit $status
