#!/usr/bin/env bash
# The house rules that a machine can check. Prints what breaks them; exit 1 when anything does.
#   tests/house.sh [FOLDER]     of this project, or of a copy of it (tests/house_cases.sh plants violations in one)
#  - includes follow the one-way order core <- vision, audio, text <- fusion <- tools, and tools see the public API alone
#  - a function has at most 80 lines (a straight forward pass, named *_forward, 120), a file 1,000
#  - only tools/ and tests/ print or exit (core/worker.c and nursery.c end the processes that they made); no getenv below tools/
#  - each outside library is included by one .c file
set -u
cd "${1:-$(dirname "$0")/..}" || exit 1
bad=0
complain() { # TITLE TEXT
    [ -z "$2" ] && return
    printf '%s\n%s\n' "$1" "$2"
    bad=1
}
sources() { find "$@" \( -name '*.c' -o -name '*.h' -o -name '*.inc' \) 2>/dev/null | sort; }
includes() { # FOLDER FORBIDDEN...: includes of forbidden rooms in a folder
    local folder=$1 rooms
    shift
    rooms=$(IFS='|'; echo "$*")
    sources "$folder" | xargs -r grep -n -E "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"](\.\.?/)*($rooms)/"
}
complain "core knows nobody:" "$(includes core vision audio text fusion tools)"
complain "vision, audio and text do not know one another:" \
    "$(includes vision audio text fusion tools; includes audio vision text fusion tools; includes text vision audio fusion tools)"
complain "fusion does not know tools:" "$(includes fusion tools)"
complain "tools go through include/senses.h:" "$(includes tools core vision audio text fusion)"

complain "files over 1,000 lines:" \
    "$(sources core vision audio text fusion tools include tests | xargs -r wc -l | awk '$2 != "total" && $1 > 1000')"

# A function begins at a line in column 1 that ends in ")" and whose next line is "{", and ends at "}" in column 1.
complain "functions over 80 lines (a *_forward: 120):" "$(sources core vision audio text fusion tools tests | xargs -r awk '
    FNR == 1 { open = 0; head = "" }
    /^\{/ { start = FNR; open = 1; name = head }
    /^}/ && open { n = FNR - start + 2; limit = name ~ /_forward\(/ ? 120 : 80
                   if (name ~ /\(/ && n > limit) print "  " FILENAME ": " name " (" n " lines)"; open = 0 }
    /^[A-Za-z].*\(/ { head = $0 }')"

complain "print or exit outside tools/ and tests/:" \
    "$(sources core vision audio text fusion | xargs -r grep -n -E \
        '\b(_?exit|_Exit|quick_exit|abort|printf|vprintf|puts|perror|putchar)\(|\b(v?fprintf|f?put[sc]|fwrite)\(.*\b(stderr|stdout)\b' |
        grep -v -E '^core/(worker|nursery)\.c:[0-9]+: .*_exit\(0\);')"
complain "getenv outside tools/:" "$(sources core vision audio text fusion | xargs -r grep -n -E '\b(secure_)?getenv\(')"

including() { sources core vision audio text fusion tools | xargs -r grep -l -E "^#include <$1"; }
for header in stb/stb_image.h sndfile.h; do
    files=$(including "$header")
    [ "$(wc -l <<<"$files")" -gt 1 ] && complain "<$header> is included by more than one file:" "$files"
done
complain "FFmpeg outside the file that is its place (core/ffmpeg.h):" "$(including '(libav|libsw)' | grep -v -x 'core/ffmpeg\.h')"
complain "core/ffmpeg.h outside the files that are its place (sound_av.c, av.h):" \
    "$(sources core vision audio text fusion tools | xargs -r grep -l -E '^#include .*\bffmpeg\.h' |
        grep -v -E '^(core/ffmpeg\.c|audio/sound_av\.c|vision/av\.h)$')"
exit $bad
