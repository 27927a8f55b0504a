#!/usr/bin/env bash
# Runs every test program and the end-to-end cases, and closes with one line: "N passed, N failed, N skipped".
# REQUIRE=1: a missing model is a failure, not a skip.
set -u
cd "$(dirname "$0")/.."
export BUILD=${BUILD:-build} REQUIRE=${REQUIRE:-0}
export SENSES=${SENSES:-./senses}
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# count PATTERN: how many lines of the log have it
count() { grep -c -E "$1" "$log"; }

for program in "$BUILD"/tests/test_*; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    case $program in *.o | *.d) continue ;; esac
    "$program" >"$log" 2>&1
    status=$?
    ok=$(count '^\[ +OK +\]')
    bad=$(grep -E '^\[  FAILED  \] ' "$log" | grep -vE '[0-9]+ test\(s\)' | sort -u | wc -l)
    skip=$(grep -E '^\[  SKIPPED \] ' "$log" | grep -vE '[0-9]+ test\(s\)' | sort -u | wc -l)
    if [ $status -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi # a crash, or a sanitizer's report
    if [ "$bad" -gt 0 ]; then
        printf 'FAIL %s\n' "${program##*/}"
        tail -40 "$log"
    else
        printf 'ok   %s (%s)\n' "${program##*/}" "$ok"
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
done

for script in tests/fuzz/run.sh tests/robust/run.py tests/robust/media.py tests/robust/truncated.py tests/robust/folders.py tests/cli/run.sh tests/browser/run.py tests/install.sh tests/house_cases.sh; do
    [ -x "$script" ] || continue
    "$script" >"$log" 2>&1
    status=$?
    ok=$(count '^ok ') bad=$(count '^FAIL ') skip=$(count '^SKIP ')
    if [ $status -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
    if [ "$bad" -gt 0 ]; then
        printf 'FAIL %s\n' "$script"
        grep -E -A4 '^FAIL ' "$log" | head -60
    else
        printf 'ok   %s (%s)\n' "$script" "$ok"
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
done

if tests/house.sh >"$log" 2>&1; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    printf 'FAIL tests/house.sh\n'
    cat "$log"
fi
if [ "$REQUIRE" = 1 ] && [ "$skipped" -gt 0 ]; then
    echo "skipped tests count as failures here: models are required"
    failed=$((failed + skipped)) skipped=0
fi
if [ "$skipped" -gt 0 ]; then
    printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
else
    printf '%d passed, %d failed\n' $passed $failed
fi
[ $failed -eq 0 ] && [ $passed -gt 0 ]
