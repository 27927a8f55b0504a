#!/usr/bin/env bash
# End-to-end cases of the command line: every function claim_* of tests/cli/NN_*.sh, each in a shell of its own.
# Prints "ok NAME", "SKIP NAME" (a model is missing) or "FAIL NAME" with what was seen, then the counts.
#   tests/cli/run.sh [PATTERN]     only the cases whose names match
#   SENSES=./senses                the program;  REQUIRE=1: a missing model is a failure
set -u
cd "$(dirname "$0")/../.."
SENSES=${SENSES:-./senses}
case $SENSES in /*) ;; *) SENSES=$PWD/${SENSES#./} ;; esac
export SENSES REQUIRE=${REQUIRE:-0} ROOT=$PWD
[ -x "$SENSES" ] || { echo "FAIL cli: $SENSES is not there; run make"; exit 1; }
home=${SENSES_HOME:-${XDG_DATA_HOME:-${HOME:-/nonexistent}/.local/share}/senses}
export MODELS=$home/models
unset SENSES_HOME SENSES_ISA SENSES_CACHE_SIZE XDG_DATA_HOME NO_COLOR
export XDG_CACHE_HOME=/dev/null # no cache: every case computes what it checks, and nobody's own is written to
export SENSES_HOME=/nonexistent # the cases say themselves when they need the real one

TMP=$(mktemp -d)
export TMP
trap 'rm -rf "$TMP"' EXIT
${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -o "$TMP/json" tests/cli/json.c || { echo "FAIL cli: tests/cli/json.c does not build"; exit 1; }

passed=0 failed=0 skipped=0
for file in tests/cli/[0-9]*.sh; do
    for case in $(bash -c ". tests/cli/lib.sh; . $file; declare -F" | sed -n 's/^declare -f claim_//p'); do
        case $case in *${1:-}*) ;; *) continue ;; esac
        rm -rf "$TMP/work"
        mkdir "$TMP/work"
        (
            cd "$TMP/work" || exit 1
            . "$ROOT/tests/cli/lib.sh"
            . "$ROOT/$file"
            "claim_$case"
            exit "$case_status"
        ) >"$TMP/log" 2>&1
        case $? in
        0) echo "ok $case"; passed=$((passed + 1)) ;;
        77)
            if [ "$REQUIRE" = 1 ]; then
                echo "FAIL $case"; failed=$((failed + 1))
            else
                echo "SKIP $case"; skipped=$((skipped + 1))
            fi
            sed 's/^/    /' "$TMP/log" ;;
        *) echo "FAIL $case"; failed=$((failed + 1)); sed 's/^/    /' "$TMP/log" | head -12 ;;
        esac
    done
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
