#!/usr/bin/env bash
# The house rules must be able to fail: plants one violation after another in a copy of the sources and runs tests/house.sh on it.
# Prints "ok NAME" or "FAIL NAME".
set -u
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# rule NAME FILE TITLE TEXT: with TEXT put at the end of FILE, the rule called TITLE complains of it; TITLE "" says that none does
rule() {
    local name=$1 file=$2 title=$3 text=$4 said status bad=
    [ -e "$work/t/$file" ] && cp "$work/t/$file" "$work/kept"
    printf '%s\n' "$text" >>"$work/t/$file"
    said=$(tests/house.sh "$work/t")
    status=$?
    if [ -z "$title" ]; then
        [ $status -eq 0 ] || bad=1
    else
        [ $status -eq 1 ] && grep -q "^$title" <<<"$said" && grep -q "$file" <<<"$said" || bad=1
    fi
    if [ -e "$work/kept" ]; then mv "$work/kept" "$work/t/$file"; else rm "$work/t/$file"; fi
    if [ -z "$bad" ]; then
        echo "ok house_$name"
    else
        echo "FAIL house_$name"
        printf '    exit %d: %s\n' $status "$said" | head -5
        failed=1
    fi
}
lines() { for ((i = 0; i < $1; i++)); do printf '%s\n' "${2:-    work();}"; done; }
function_of() { printf 'static void %s(void)\n{\n%s\n}' "$2" "$(lines $(($1 - 3)))"; } # LINES NAME

mkdir "$work/t"
cp -r core vision audio text fusion tools include tests "$work/t/" 2>/dev/null
rule sources_as_they_are_keep_the_rules core/mem.c '' '/* . */'
rule core_may_not_include_a_room core/mem.c 'core knows nobody' '#include "../vision/vision.h"'
rule an_include_by_another_spelling_is_seen core/mem.c 'core knows nobody' '#  include <text/text.h>'
rule vision_may_not_include_audio vision/families/llava.c 'vision, audio and text' '#include "../../audio/audio.h"'
rule audio_may_not_include_text audio/mel.c 'vision, audio and text' '#include "../text/text.h"'
rule text_may_not_include_fusion text/bpe.c 'vision, audio and text' '#include "../fusion/session.h"'
rule fusion_may_not_include_tools fusion/text.c 'fusion does not know tools' '#include "../tools/media.h"'
rule tools_may_not_include_a_room tools/media.c 'tools go through' '#include "../core/mem.h"'
rule a_function_of_81_lines_is_too_long text/bpe.c 'functions over 80' "$(function_of 81 long_one)"
rule a_function_of_80_lines_is_not text/bpe.c '' "$(function_of 80 long_one)"
rule a_head_of_two_lines_hides_nothing text/bpe.c 'functions over 80' "$(function_of 90 'a(int b,
    int c); int d')"
rule a_forward_pass_of_121_lines_is_too_long text/llama.c 'functions over 80' "$(function_of 121 long_forward)"
rule a_forward_pass_of_120_lines_is_not text/llama.c '' "$(function_of 120 long_forward)"
rule a_file_of_1001_lines_is_too_long vision/families/new.c 'files over 1,000' "$(lines 1001 '/* . */')"
rule a_file_of_1000_lines_is_not vision/families/new.c '' "$(lines 1000 '/* . */')"
rule printf_in_a_room core/mem.c 'print or exit' '    printf("x");'
rule writing_to_standard_error_in_a_room fusion/text.c 'print or exit' '    fputs("x", stderr);'
rule snprintf_is_no_print core/mem.c '' '    snprintf(b, n, "x");'
rule exit_in_a_room audio/mel.c 'print or exit' '    exit(1);'
rule getenv_in_a_room text/bpe.c 'getenv outside' '    getenv("X");'
rule a_second_file_with_stb vision/exif.c '<stb/stb_image.h> is included' '#include <stb/stb_image.h>'
rule a_second_file_with_sndfile audio/mel.c '<sndfile.h> is included' '#include <sndfile.h>'
rule ffmpeg_elsewhere text/bpe.c 'FFmpeg outside' '#include <libavutil/mem.h>'
rule ffmpegs_table_elsewhere vision/image.c 'core/ffmpeg.h outside' '#include "../core/ffmpeg.h"'
exit $failed
