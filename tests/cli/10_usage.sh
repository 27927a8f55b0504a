# What is wrong usage, and what is help.
commands="describe transcribe ask chat sketch info models convert quantize merge tokenize encode logits perplexity bench"

claim_no_command_is_wrong_usage() { run; wrong_usage; }
claim_an_unknown_command_is_wrong_usage() {
    run frobnicate; wrong_usage; err_has "unknown command 'frobnicate'"
    run trascribe; wrong_usage; err_has "did you mean transcribe?"
    run -q ask hi; wrong_usage; err_has "the command comes first"
    for c in batch serve search pull quantize perplexity; do run "$c"; wrong_usage; done
}
claim_help_of_every_command_goes_to_standard_output() {
    for c in $commands; do
        run "$c" --help; is 0; err_empty; out_has "Usage: senses $c"; out_has "Examples:"; out_has "--help"
        cp out first
        run help "$c"; is 0; cmp -s out first || wrong "'help $c' differs from '$c --help'"
        run "$c" -h; is 0; cmp -s out first || wrong "'$c -h' differs from '$c --help'"
        run help; out_has "  $c"
    done
    run --help; is 0; out_has "Usage: senses COMMAND"
}
claim_help_lines_fit_a_terminal() {
    for c in $commands; do
        run help "$c"
        awk '/^Examples:/ { skip = 1 } /^[A-Z].*:$/ && !/^Examples:/ { skip = 0 } !skip && length($0) > 90' out | grep . && wrong "long lines"
    done
}
claim_help_of_an_unknown_command_is_wrong_usage() { run help bogus; wrong_usage; run help ask chat; wrong_usage; }
claim_the_version_is_the_headers() {
    run --version; is 0; err_empty
    [ "$(sed -n 1p out)" = "senses $(sed -n 's/^#define SENSES_VERSION "\(.*\)"/\1/p' "$ROOT/include/senses.h")" ] || wrong "another version"
    sed -n 2p out | grep -q '^sandbox of media decoders: seccomp, ' || wrong "no word of the sandbox"
}
claim_unknown_options_are_wrong_usage() {
    for c in $commands; do
        run "$c" --frobnicate x; wrong_usage; err_has "unknown option '--frobnicate'"
        run "$c" -Z; wrong_usage; err_has "unknown option '-Z'"
    done
    run ask --tmep 1 hi; wrong_usage; err_has "did you mean --temp?"
}
claim_options_that_do_not_exist_yet_are_not_accepted() {
    for o in --word-timestamps --vad; do run ask "$o" x hi; wrong_usage; run transcribe "$o" x; wrong_usage; done
}
claim_an_option_of_another_command_is_wrong_usage() {
    run describe --ids x.png; wrong_usage; run transcribe --image-fit pad a.wav; wrong_usage; run info -m x y; wrong_usage
}
claim_a_missing_value_is_wrong_usage() {
    run ask hi --temp; wrong_usage; err_has "--temp needs a value"
    run ask hi -n; wrong_usage; err_has "-n needs a value"
    run ask hi --model=; wrong_usage; err_has "empty"
    run ask --json=yes hi; wrong_usage; err_has "--json takes no value"
}
claim_numbers_are_read_whole_and_held_to_their_range() {
    for v in "" x 1x 1.5 -1 +1 " 1" 0x10 1e3 99999999999999999999999; do run ask -n "$v" hi; wrong_usage; err_has "--predict"; done
    for v in "" x 1x -0.1 nan inf 1e99 0.5.5 " 1" 101; do run ask --temp "$v" hi; wrong_usage; err_has "--temp"; done
    for v in 0 -1 1025 2.5; do run ask -t "$v" hi; wrong_usage; err_has "--threads"; done
    for v in 1.01 -0.01; do run ask --top-p "$v" hi; wrong_usage; err_has "--top-p"; done
    run ask --seed 18446744073709551616 hi; wrong_usage; err_has "--seed"
}
claim_choices_are_named_when_one_is_wrong() {
    run describe --image-fit squeeze x.png; wrong_usage; err_has "pad, crop or stretch"
    run transcribe -f doc a.wav; wrong_usage; err_has "txt, srt, vtt, json, csv or lrc"
    run ask --isa sse2 hi; wrong_usage; err_has "scalar, avx2, avx512, avx512-vnni or amx"
    SENSES_ISA=sse2 run ask hi; wrong_usage; err_has "SENSES_ISA"
}
claim_operands_are_counted() {
    run ask; wrong_usage; err_has "no question was given"
    run sketch; wrong_usage; err_has "no image was given"; run sketch a b; wrong_usage
    run ask a b; wrong_usage; err_has "'b' is one argument too many"
    run describe; wrong_usage; run transcribe; wrong_usage; run info; wrong_usage; run convert; wrong_usage; run logits -o x; wrong_usage
    run models x; wrong_usage; run chat x; wrong_usage; run tokenize x; wrong_usage; run bench x; wrong_usage; run encode x; wrong_usage
    run ask ""; wrong_usage
}
claim_options_that_exclude_one_another_are_refused() {
    run ask -q -v hi; wrong_usage; run ask --ids --json hi; wrong_usage; run transcribe --json -f srt a.wav; wrong_usage
    run encode --mel --image x.png --mmproj m -o o.npy; wrong_usage; run encode --mel --audio a --audio b --mmproj m -o o.npy; wrong_usage
}
claim_what_a_command_cannot_do_without_is_asked_for() {
    run encode --image x.png -o o.npy; wrong_usage; err_has "--mmproj"
    run encode --mmproj m --image x.png; wrong_usage; err_has "-o"
    run encode --mmproj m -o o.npy; wrong_usage; err_has "--image"
    run logits hi; wrong_usage; err_has "-o"; run convert dir; wrong_usage; err_has "-o"
}
claim_standard_input_is_taken_once() {
    run ask --text - -; wrong_usage; run transcribe - -; wrong_usage; run ask --audio - --text - hi; wrong_usage; run chat --text -; wrong_usage
}
claim_more_than_two_encoders_are_refused() { run ask --mmproj a --mmproj b --mmproj c hi; wrong_usage; }
claim_control_characters_in_messages_are_escaped() {
    run ask "--a$(printf '\033')[31mb" hi; wrong_usage; err_has '\x1b[31mb'
    LC_ALL=C grep -q "$(printf '\033')" err && wrong "an escape reached standard error"
    run ask -m "./$(printf 'a\nb\377\342\200\256c')" hi; failed_with_one_line; err_has './a\x0ab\xff\u{202e}c'
}
claim_the_man_page_and_completions_name_every_command_and_option() {
    run help --man; is 0; out_has '.TH SENSES 1'; cp out man
    for c in $commands; do grep -q "^.SS $c" man || wrong "no $c in the man page"; done
    for shell in bash zsh fish; do
        run help --completion $shell; is 0; cp out comp
        for c in $commands; do
            grep -q -w -e "$c" comp || wrong "no $c in the completion of $shell"
            run help "$c"
            for o in $(grep -o -E '^  (-., |    )--[a-z-]+' out | grep -o -E -e '--[a-z-]+'); do
                grep -q -w -e "${o#--}" comp || wrong "no $o in the completion of $shell"
                grep -q -F -e "${o//-/\\-}" man || wrong "no $o in the man page"
            done
        done
    done
    run help --completion bash; bash -n out || wrong "the bash completion is no bash"
    run help --completion tcsh; wrong_usage
}
claim_bash_completion_completes() {
    "$SENSES" help --completion bash >comp
    got=$(bash -c '. ./comp; COMP_WORDS=(senses trans); COMP_CWORD=1; _senses; echo "${COMPREPLY[*]}"')
    [ "$got" = transcribe ] || wrong "trans completes to '$got'"
    got=$(bash -c '. ./comp; COMP_WORDS=(senses ask --ima); COMP_CWORD=2; _senses; echo "${COMPREPLY[*]}"')
    [ "$got" = "--image --image-fit" ] || wrong "--ima completes to '$got'"
    got=$(bash -c '. ./comp; COMP_WORDS=(senses transcribe -f v); COMP_CWORD=3; _senses; echo "${COMPREPLY[*]}"')
    [ "$got" = vtt ] || wrong "-f v completes to '$got'"
}
