#!/usr/bin/env bash
# `make install` into a folder of its own, what was installed at work, and `make uninstall`. Prints "ok NAME" or "FAIL NAME".
# The sanitized build is not installed by anybody, so there is nothing to see there: no case runs.
set -u
cd "$(dirname "$0")/.."
[ "${SENSES:-./senses}" = ./senses ] || { echo "only the plain build is installed: $SENSES is not"; exit 0; }
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root prefix=/opt/senses
at=$root$prefix
failed=0

# check NAME COMMAND...: one case; what the command says is shown when it fails
check() {
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok install_$name"
    else
        echo "FAIL install_$name"
        sed 's/^/    /' "$work/log" | head -12
        failed=1
    fi
}
make_it() { # TARGET; jobs and flags of a make above are not its own
    env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make --no-print-directory BUILD="$build" PREFIX=$prefix DESTDIR="$root" "$1"
}
package() { # pkg-config on what was installed, wherever it now lies
    PKG_CONFIG_PATH=$at/lib/pkgconfig pkg-config --define-variable=prefix="$at" "$@"
}

files_are_there() {
    (cd "$at" && find . \( -type f -o -type l \) | sort) >"$work/have"
    printf './%s\n' bin/senses include/senses.h lib/libsenses.a lib/libsenses.so lib/libsenses.so.0 "lib/libsenses.so.$version" \
        lib/pkgconfig/senses.pc share/bash-completion/completions/senses share/doc/senses/LICENSE share/doc/senses/licences.md \
        share/fish/vendor_completions.d/senses.fish share/man/man1/senses.1 share/zsh/site-functions/_senses \
        $(find models -name '*.gguf' 2>/dev/null | sed 's|^|share/senses/|') |
        sort | diff - "$work/have"
}
program_runs() {
    [ "$("$at/bin/senses" --version | head -n 1)" = "senses $version" ] && (cd "$work" && "$at/bin/senses" info "$OLDPWD/tests/golden/fusion/llava15_text.gguf")
}
c_program() { # SHARED|STATIC: one that opens the engine, a model and a picture for which FFmpeg is loaded, built with nothing but pkg-config
    cat >"$work/use.c" <<'C'
#include <senses.h>
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
    senses_error err = {0};
    senses_engine *e = NULL;
    senses_text *t = NULL;
    senses_image *img = NULL;
    if (argc < 4 || senses_engine_open(&e, NULL, &err) != SN_OK || senses_text_open(&t, e, argv[1], &err) != SN_OK ||
        senses_image_load(&img, argv[3], NULL, &err) != SN_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    printf("%zu\n", senses_text_n_vocab(t));
    senses_image_close(img);
    senses_text_close(t);
    t = NULL;
    int bad = senses_text_open(&t, e, argv[2], &err) == SN_OK || t != NULL || strstr(err.msg, argv[2]) == NULL;
    senses_engine_close(e);
    return bad;
}
C
    local flags model=tests/golden/fusion/llava15_text.gguf
    if [ "$1" = STATIC ]; then
        # Debian has libsndfile's own needs as shared libraries only, so those named by the package are linked, not theirs in turn.
        flags="$(package --cflags senses) $at/lib/libsenses.a $(pkg-config --libs $(package --print-requires-private senses)) -lm -pthread"
    else
        flags=$(package --cflags --libs senses)
    fi
    # shellcheck disable=SC2086 # flags are words
    ${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror -o "$work/use" "$work/use.c" $flags &&
        LD_LIBRARY_PATH=$at/lib "$work/use" "$model" /nonexistent/model.gguf tests/golden/vision/files/lossy.webp >"$work/vocab" && [ "$(cat "$work/vocab")" -gt 0 ]
}
only_the_api_leaves() {
    nm -D --defined-only "$at/lib/libsenses.so" | awk '$2 ~ /[TDBR]/ && $3 !~ /^senses_/ { print "also exported: " $3; bad = 1 } END { exit bad }'
}
ffmpeg_is_no_dependency() { # of neither: it is opened when a medium needs it
    for f in "$at/bin/senses" "$at/lib/libsenses.so"; do
        readelf -d "$f" >"$work/needed" && grep -q 'NEEDED.*libsndfile' "$work/needed" && ! grep -E 'NEEDED.*lib(av|sw)' "$work/needed" || return 1
    done
}
pkg_config_says_the_version() { [ "$(package --modversion senses)" = "$version" ] && [ "$(package --variable=includedir senses)" = "$at/include" ]; }
man_page_formats() {
    local page=$at/share/man/man1/senses.1
    if command -v mandoc >/dev/null; then
        mandoc -T lint -W error "$page"
    elif command -v man >/dev/null; then
        MANWIDTH=80 MANROFFSEQ='' LC_ALL=C.UTF-8 man --warnings -l "$page" >"$work/page" 2>"$work/warnings" && cat "$work/warnings" && [ ! -s "$work/warnings" ] &&
            grep -q 'SYNOPSIS' "$work/page"
    elif command -v groff >/dev/null; then
        groff -man -Tutf8 -ww "$page" >"$work/page" 2>"$work/warnings" && cat "$work/warnings" && [ ! -s "$work/warnings" ]
    else # a bare system: its shape, at least
        head -n 1 "$page" | grep -q "^\.TH SENSES 1 .*senses $version" && grep -q '^\.SH SYNOPSIS' "$page"
    fi
}
bash_completes() { # "senses tra" becomes "senses transcribe"; what it would offer for --isa are its values
    bash --norc -c '. "$1"; COMP_WORDS=(senses tra) COMP_CWORD=1; _senses
        [ "${COMPREPLY[*]}" = transcribe ] || exit 1
        COMP_WORDS=(senses transcribe --isa "") COMP_CWORD=3; _senses; [[ " ${COMPREPLY[*]} " == *" avx2 "* ]]' _ \
        "$at/share/bash-completion/completions/senses"
}
zsh_and_fish_parse() { # by the shells where they are here; that they are whole otherwise
    local zsh=$at/share/zsh/site-functions/_senses fish=$at/share/fish/vendor_completions.d/senses.fish
    head -n 1 "$zsh" | grep -q '^#compdef senses' && grep -q 'complete -c senses' "$fish" || return 1
    if command -v zsh >/dev/null; then zsh -n "$zsh" || return 1; fi
    if command -v fish >/dev/null; then fish --no-execute "$fish" || return 1; fi
}
what_is_not_its_own_stays() {
    touch "$at/share/senses/models/mine.gguf" "$at/share/doc/senses/notes"
    make_it uninstall || return 1
    (cd "$at" && find . -type f | sort) >"$work/have"
    printf './%s\n' share/doc/senses/notes share/senses/models/mine.gguf | diff - "$work/have" && rm "$at/share/senses/models/mine.gguf" "$at/share/doc/senses/notes"
}
nothing_is_left() { make_it uninstall && [ -z "$(find "$root" \( -type f -o -type l \))" ] && [ ! -e "$at/share/doc/senses" ] && [ ! -e "$at/share/senses" ]; }

version=$(sed -n 's/^#define SENSES_VERSION "\(.*\)"/\1/p' include/senses.h)
check goes_into_destdir make_it install
check files_are_all_of_them_and_no_others files_are_there
check program_runs_from_elsewhere program_runs
check pkg_config_says_the_version_and_place pkg_config_says_the_version
check c_program_with_the_shared_library c_program SHARED
check c_program_with_the_static_library c_program STATIC
check only_the_api_leaves_the_shared_library only_the_api_leaves
check ffmpeg_is_no_dependency_at_the_start ffmpeg_is_no_dependency
check man_page_formats_without_a_warning man_page_formats
check bash_completes bash_completes
check zsh_and_fish_completions_parse zsh_and_fish_parse
mkdir -p "$at/share/senses/models" # there may be no models of our own
check uninstall_leaves_what_is_not_its_own what_is_not_its_own_stays
check uninstall_leaves_nothing nothing_is_left
exit $failed
