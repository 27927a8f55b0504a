#!/usr/bin/env bash
# Each fuzz target for FUZZ_SECONDS (60), on from what tests/fuzz/corpus has of it; new finds of coverage stay in build/fuzz/corpus.
# An input that breaks something is left as build/fuzz/crash-NAME-..., and ends the run with status 1.
#   tests/fuzz/fuzz.sh [NAME...]     only these targets
set -u
cd "$(dirname "$0")/../.."
seconds=${FUZZ_SECONDS:-60} bad=0
export UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=allocator_may_return_null=1
if [ $# -eq 0 ]; then
    for f in tests/fuzz/fuzz_*.c; do f=${f##*/fuzz_}; set -- "$@" "${f%.c}"; done
fi
for name; do
    mkdir -p "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name"
    # -rss_limit_mb: a small file never takes much; -timeout: nor long
    if build/fuzz/tests/fuzz/fuzz_"$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1500 -malloc_limit_mb=1000 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/crash-$name-" "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" >"build/fuzz/$name.log" 2>&1; then
        echo "ok $name ($(sed -n 's/^stat::number_of_executed_units: //p' "build/fuzz/$name.log") runs)"
    else
        echo "FAIL $name: build/fuzz/$name.log"
        grep -E -m 3 'ERROR|runtime error|broken|SUMMARY' "build/fuzz/$name.log"
        bad=1
    fi
done
exit $bad
