#!/bin/sh
# Makes sure that what the build needs is installed: through apt on Debian and its kin; elsewhere it
# prints what to install and exits 3. Quick when nothing is missing.
# usage: deps.sh [PACKAGE...]   these too; dataset-fashion-mnist is what the demo trains on
set -eu

packages="gcc make pkg-config flex bison llvm-19-dev libcmocka-dev libjansson-dev libpng-dev
libjpeg62-turbo-dev zlib1g-dev libarchive-dev python3 $*"

have() {
    case $1 in
    gcc | make | flex | bison | python3) command -v "$1" >/dev/null 2>&1 ;;
    pkg-config) command -v pkg-config >/dev/null 2>&1 ;;
    llvm-19-dev)
        command -v llvm-config-19 >/dev/null 2>&1 ||
            { command -v llvm-config >/dev/null 2>&1 &&
                case $(llvm-config --version) in 19.*) true ;; *) false ;; esac; }
        ;;
    libcmocka-dev) header cmocka.h ;;
    libjansson-dev) header jansson.h ;;
    libpng-dev) header png.h ;;
    libjpeg62-turbo-dev) header jpeglib.h ;;
    zlib1g-dev) header zlib.h ;;
    libarchive-dev) header archive.h ;;
    dataset-fashion-mnist) [ -f /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ] ;;
    esac
}

header() {
    printf '#include <stddef.h>\n#include <stdarg.h>\n#include <setjmp.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <%s>\n' "$1" |
        ${CC:-cc} -E -x c - >/dev/null 2>&1
}

missing=
for p in $packages; do
    have "$p" || missing="$missing $p"
done
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "cnnc needs these packages (Debian names); please install their like:$missing" >&2
    exit 3
fi
sudo=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "please run as root: apt-get install$missing" >&2
        exit 3
    fi
    sudo=sudo
fi
echo "installing:$missing"
$sudo apt-get update -qq
# shellcheck disable=SC2086  # a list of words
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
