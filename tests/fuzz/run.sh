#!/usr/bin/env bash
# What fuzzing found before, once more: every input of tests/fuzz/corpus through its target. Prints "ok NAME" or "FAIL NAME".
set -u
cd "$(dirname "$0")/../.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
bad=0
for source in tests/fuzz/fuzz_*.c; do
    name=${source##*/fuzz_} name=${name%.c}
    if timeout 300 "${BUILD:-build}/tests/fuzz/fuzz_$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
        echo "ok $name"
    else
        echo "FAIL fuzz_$name"
        tail -20 "$log"
        bad=1
    fi
done
exit $bad
