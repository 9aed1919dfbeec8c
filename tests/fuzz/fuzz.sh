#!/bin/sh
# fuzz.sh TARGET SECONDS FOLDER: runs one target with libFuzzer over the committed corpus and what
# earlier runs found. New inputs stay in FOLDER/found/TARGET; a crash is kept there and reported.
set -u
target=$1 seconds=$2 folder=$3
here=$(dirname "$0")
mkdir -p "$folder/found/$target" "$folder/crashes"
set -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$folder/crashes/$target-"
[ -f "$here/$target.dict" ] && set -- "$@" -dict="$here/$target.dict"
"$folder/$target" "$@" "$folder/found/$target" "$here/corpus/$target" >"$folder/$target.log" 2>&1
status=$?
awk -v t="$target" '
    / cov: / { for (i = 1; i <= NF; i++) { if ($i == "cov:") cov = $(i + 1); if ($i == "ft:") ft = $(i + 1) } }
    /number_of_executed_units/ { runs = $2 }
    /average_exec_per_sec/ { speed = $2 }
    /peak_rss_mb/ { rss = $2 }
    END { printf "%-12s %10d runs %6d/s  %6d edges %6d features  %5d MiB\n", t, runs, speed, cov, ft, rss }' "$folder/$target.log"
if [ "$status" != 0 ]; then
    echo "$target: found something:" >&2
    grep -m 3 -E 'ERROR|not so|runtime error|Test unit written' "$folder/$target.log" >&2
fi
exit "$status"
