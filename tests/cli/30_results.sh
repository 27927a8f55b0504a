# Results: their forms, their fields, their files.

claim_tokenize_writes_a_json_array() {
    needs "$TINY"
    printf 'Hello world' >text; stdin=text
    run tokenize -m "$TINY"; is 0; err_empty; json_lines out --array; cp out plain
    run tokenize -m "$TINY" --json; cmp -s out plain || wrong "--json changes the array"
    run tokenize -m "$TINY" --no-special; is 0; json_lines out --array
    stdin=/dev/null; run tokenize -m "$TINY" --no-special; is 0; out_is "[]"
}
claim_perplexity_is_a_figure_with_its_error() {
    needs "$TINY"
    run perplexity -m "$TINY" "$SAMPLES/alice.txt" -c 2048; is 0; grep -q '^PPL = [0-9.]* +/- [0-9.]*$' out || wrong "$(cat out)"; err_has "windows of 2048"
    cp out first; stdin=$SAMPLES/alice.txt; run perplexity -q -m "$TINY" -c 2048 -t 1 -; is 0; err_empty; cmp -s out first || wrong "other threads, another figure"
    stdin=/dev/null; head -c 9000 "$SAMPLES/alice.txt" >part.txt
    run perplexity -m "$TINY" --json part.txt; is 0; err_empty; json_lines out file type task model perplexity error context windows tokens scored seconds
    out_has '"context":512'
    head -c 300 "$SAMPLES/alice.txt" >short.txt; run perplexity -m "$TINY" short.txt; failed_with_one_line; err_has "short.txt: "; err_has "two windows of 512"
    printf 'a\377b' >bad.txt; run perplexity -m "$TINY" bad.txt; failed_with_one_line; err_has "bad.txt: is not UTF-8"
    run perplexity -m "$TINY" ./missing.txt; failed_with_one_line; run perplexity -m "$TINY" -c 3 part.txt; wrong_usage; run perplexity; wrong_usage
}
claim_describe_heads_several_pictures_and_goes_on_past_a_bad_one() {
    needs "$TINY" "$TINY_MMPROJ"
    cp "$SAMPLES/sign.png" "sp ace.png"; printf x >bad.png
    run describe -m "$TINY" --mmproj "$TINY_MMPROJ" -n 4 "sp ace.png" bad.png "$SAMPLES/sign.png"
    is 1; out_has "==> sp ace.png <=="; out_has "==> $SAMPLES/sign.png <=="
    [ "$(wc -l <err)" -eq 1 ] || wrong "more than one error"; err_has "senses: bad.png: "
    run describe -m "$TINY" --mmproj "$TINY_MMPROJ" -n 4 "sp ace.png"; is 0; out_lacks "==>"; err_empty
    run describe -m "$TINY" --mmproj "$TINY_MMPROJ" -n 4 --json "sp ace.png" bad.png
    is 1; json_lines out file type task model seconds; [ "$(wc -l <out)" -eq 2 ] || wrong "not one line a picture"
    sed -n 1p out >one; json_lines one text tokens; sed -n 2p out >two; json_lines two error
}
claim_ask_has_the_same_fields_as_describe() {
    needs "$TINY" "$TINY_MMPROJ"; printf 'some words' >t.txt
    run ask -m "$TINY" -n 4 --json hi; is 0; err_empty; json_lines out file type task model text tokens seconds
    run ask -m "$TINY" --mmproj "$TINY_MMPROJ" --image "$SAMPLES/sign.png" --text t.txt -n 4 --json "what?"
    is 0; json_lines out file type task model text media tokens seconds; out_has '"type":["image","text"]'
    out_has '"media":["image 1: '
}
claim_ids_are_a_json_array_and_repeat() {
    needs "$TINY"
    run ask -m "$TINY" --raw --temp 0 -n 6 --ids "Hello"; is 0; err_empty; json_lines out --array; cp out first
    run ask -m "$TINY" --raw --temp 0 -n 6 --ids "Hello"; cmp -s out first || wrong "not the same ids"
    run ask -m "$TINY" --raw --temp 0 -n 6 --ids -t 1 "Hello"; cmp -s out first || wrong "not the same ids on one thread"
}
claim_the_same_seed_gives_the_same_text() {
    needs "$TINY"
    run ask -m "$TINY" --temp 2 --seed 7 -n 24 "Hello"; is 0; cp out first
    run ask -m "$TINY" --temp 2 --seed 7 -n 24 "Hello"; cmp -s out first || wrong "not the same text"
    run ask -m "$TINY" --temp 2 --seed 8 -n 24 "Hello"; cmp -s out first && wrong "another seed gives the same text"
}
claim_a_question_can_come_from_standard_input() {
    needs "$TINY"; printf 'Hello' >q
    run ask -m "$TINY" --raw --temp 0 -n 6 --ids "Hello"; cp out first
    stdin=q; run ask -m "$TINY" --raw --temp 0 -n 6 --ids -; is 0; cmp -s out first || wrong "not the same answer"
}
claim_the_order_of_media_matters() {
    needs "$TINY" "$TINY_MMPROJ"; printf 'alpha beta gamma' >t.txt
    set -- -m "$TINY" --mmproj "$TINY_MMPROJ" --raw
    run logits "$@" --image "$SAMPLES/sign.png" --text t.txt -o a.npy "what"; is 0
    run logits "$@" --text t.txt --image "$SAMPLES/sign.png" -o b.npy "what"; is 0
    cmp -s a.npy b.npy && wrong "the order changes nothing"
    run logits "$@" --image "$SAMPLES/sign.png" --text t.txt -o c.npy "<__media__><__media__>what"; is 0
    cmp -s a.npy c.npy || wrong "media in front differ from media at markers in front"
}
claim_text_media_are_data() {
    needs "$TINY"; printf '</s><s>' >t.txt
    stdin=t.txt; run tokenize -m "$TINY"; cp out special; run tokenize -m "$TINY" --no-special; cmp -s out special && skip "the model has no such tokens"
    stdin=/dev/null
    run logits -m "$TINY" --raw --text t.txt -o a.npy "x"; is 0; run logits -m "$TINY" --raw -o b.npy "</s><s>x"; is 0
    cmp -s a.npy b.npy && wrong "the file's text became control tokens"
}
claim_encode_writes_rows_of_the_decoders_width() {
    needs "$TINY" "$TINY_MMPROJ"
    run encode -o one.npy -m "$TINY" --mmproj "$TINY_MMPROJ" --image "$SAMPLES/sign.png"; is 0; err_empty; out_empty
    run encode -o two.npy --mmproj "$TINY_MMPROJ" --image "$SAMPLES/sign.png" --image "$SAMPLES/sign.png"; is 0
    a=$(head -c 128 one.npy | tr -d '\0' | grep -a -o -E "\([0-9]+, [0-9]+\)") b=$(head -c 128 two.npy | tr -d '\0' | grep -a -o -E "\([0-9]+, [0-9]+\)")
    rows=${a%,*}; rows=${rows#(}; rows2=${b%,*}; rows2=${rows2#(}
    [ "$rows2" -eq $((2 * rows)) ] && [ "${a#*, }" = "${b#*, }" ] || wrong "shapes $a and $b"
    [ "$(wc -c <one.npy)" -eq $((128 + 4 * rows * $(echo "${a#*, }" | tr -d ')'))) ] || wrong "$(wc -c <one.npy) bytes for $a"
    run encode -o - --mmproj "$TINY_MMPROJ" --image "$SAMPLES/sign.png"; is 0; cmp -s out one.npy || wrong "-o - differs"
    stdin=$SAMPLES/sign.png; run encode -o three.npy --mmproj "$TINY_MMPROJ" --image -; is 0; cmp -s one.npy three.npy || wrong "standard input differs"
}
claim_encode_asks_for_no_chat_template() {
    cp -r "$GOLDEN/convert_encoders/smolvlm" own; chmod -R u+w own; sed -i 's/"chat_template"/"no_template"/' own/tokenizer_config.json
    sed -i 's/<|im_start|>/<image>/g; s/<|im_end|>/<global-img>/g; s/<custom>/<fake_token_around_image>/g' own/tokenizer*.json
    run convert own -o t.gguf --mmproj m.gguf -q; is 0
    run ask -m t.gguf --mmproj m.gguf --image "$SAMPLES/sign.png" x; failed_with_one_line; err_has "no chat template"
    run encode -o rows.npy -m t.gguf --mmproj m.gguf --image "$SAMPLES/sign.png"; is 0; err_empty
}
claim_encode_writes_the_mel() {
    needs "$TINY_AUDIO"
    run encode -o m.npy --mmproj "$TINY_AUDIO" --audio "$SAMPLES/jfk.wav" --mel; is 0
    head -c 128 m.npy | tr -d '\0' | grep -a -q "'shape': (128, 3000)" || wrong "shape: $(head -c 100 m.npy | tr -d '\0' | tail -c 60)"
}
claim_logits_of_all_positions_end_in_the_logits_of_the_last() {
    needs "$TINY"
    run logits -m "$TINY" --raw -o one.npy "Hello there"; is 0; run logits -m "$TINY" --raw --all -o all.npy "Hello there"; is 0
    n=$(($(wc -c <one.npy) - 128))
    head -c 128 one.npy | tr -d '\0' | grep -a -q "($((n / 4)),)" || wrong "the shape of one.npy is not flat"
    paste <(tail -c "$n" all.npy | od -An -v -w4 -t f4) <(tail -c "$n" one.npy | od -An -v -w4 -t f4) |
        awk '{ d = $1 - $2; if (d * d > 1e-6) bad++; if ($2 * $2 > most) most = $2 * $2 } END { exit bad > 0 || most == 0 || NR == 0 }' ||
        wrong "the last row of --all is another"
}
claim_an_output_appears_whole_with_plain_rights() {
    needs "$TINY"
    umask 022; run logits -m "$TINY" -o o.npy hi; [ "$(stat -c %a o.npy)" = 644 ] || wrong "rights $(stat -c %a o.npy)"
    chmod 600 o.npy; run logits -m "$TINY" -o o.npy hi; [ "$(stat -c %a o.npy)" = 600 ] || wrong "rights changed to $(stat -c %a o.npy)"
    ln -s o.npy link.npy; run logits -m "$TINY" -o link.npy hi; [ -L link.npy ] || wrong "the link was replaced"
    run logits -m "$TINY" -o no-such-folder/o.npy hi; failed_with_one_line; err_has "no-such-folder/o.npy"
    mkdir d; run logits -m "$TINY" -o d hi; failed_with_one_line
    run logits -m "$TINY" -o /dev/full hi; failed_with_one_line; [ -c /dev/full ] || wrong "the device was replaced"
    [ "$(find . -name '*.npy.*' | wc -l)" -eq 0 ] || wrong "a temporary file was left"
}
claim_a_full_disk_is_an_error_and_leaves_nothing() {
    needs "$TINY_MMPROJ"
    (ulimit -f 1; "$SENSES" encode -o big.npy --mmproj "$TINY_MMPROJ" --image "$SAMPLES/sign.png" >out 2>err)
    status=$?; failed_with_one_line; err_has big.npy; [ -z "$(find . -name 'big.npy*')" ] || wrong "something was left"
}
claim_standard_output_that_cannot_be_written_is_an_error() {
    needs "$TINY"
    for c in "--help" "ask -m $TINY -n 4 hi" "tokenize -m $TINY" "info $TINY" "ask -m $TINY --ids -n 4 hi" "help --man"; do
        "$SENSES" $c </dev/null >/dev/full 2>err; status=$?; said="$c >/dev/full"; failed_with_one_line; err_has "standard output"
        "$SENSES" $c </dev/null >&- 2>err; status=$?; said="$c >&-"; failed_with_one_line; err_has "standard output"
    done
}
claim_a_reader_that_leaves_ends_it_quietly() {
    needs "$TINY"
    (trap - PIPE; "$SENSES" info "$TINY" 2>err | true)
    "$SENSES" help --man 2>err | head -n 1 >/dev/null
    [ ! -s err ] || wrong "standard error: $(cat err)"
}
claim_an_interruption_ends_with_130_and_leaves_no_file() {
    tiny_whisper
    mkfifo pipe
    exec 3<>pipe # a recording that never comes
    for sig in INT:130 TERM:143; do
        "$SENSES" transcribe --whisper ./tiny-whisper.gguf -o o.txt - <&3 >out 2>err &
        pid=$! said="transcribe, interrupted by ${sig%:*}"
        for ((i = 0; i < 200; i++)); do [ -n "$(find . -name 'o.txt.*')" ] && break; sleep 0.05; done
        [ "$i" -lt 200 ] || wrong "no temporary file appeared"
        kill "-${sig%:*}" $pid; wait $pid; status=$?
        is "${sig#*:}"; [ -z "$(find . -name 'o.txt*')" ] || wrong "a file was left"
    done
}
claim_names_may_be_anything() {
    needs "$TINY" "$TINY_MMPROJ"
    for name in "with space.png" $'new\nline.png' "-dash.png" $'inv\377alid.png' 'quote".png' '%s%n.png' '$(x).png'; do
        cp "$SAMPLES/sign.png" "./$name"
        run describe -m "$TINY" --mmproj "$TINY_MMPROJ" -n 2 --json -- "$name"; is 0; err_empty; json_lines out file text
        run encode --mmproj "$TINY_MMPROJ" --image "$name" -o "./$name.npy"; is 0; [ -s "./$name.npy" ] || wrong "no output '$name.npy'"
        run describe -m "$TINY" --mmproj "$TINY_MMPROJ" -- "$name.missing"; failed_with_one_line
    done
    cp "$TINY" "./-m.gguf"; run ask -m -m.gguf -n 2 hi; is 0
}
claim_options_stand_anywhere_and_in_both_forms() {
    needs "$TINY"
    set -- --raw --temp 0 --ids
    run ask -m "$TINY" "$@" -n 3 Hello; is 0; cp out first
    for line in "Hello -n3 -m $TINY" "--model=$TINY -n 3 Hello" "--model $TINY Hello --predict=3" "-qn3 -m$TINY -- Hello"; do
        run ask "$@" $line; is 0; cmp -s out first || wrong "another answer"
    done
}
claim_verbose_explains_on_standard_error_and_quiet_does_not() {
    needs "$TINY"
    run ask -m "$TINY" -n 3 --ids --temp 0 hi; err_empty; cp out first
    run ask -v -m "$TINY" -n 3 --ids --temp 0 hi; is 0; cmp -s out first || wrong "-v changes the result"
    err_has "threads"; err_has "llava15_text.gguf"; err_has "tokens/s"
}
claim_every_isa_answers() {
    needs "$TINY"
    for isa in scalar avx2; do
        grep -q -w avx2 /proc/cpuinfo || [ $isa = scalar ] || continue
        run ask --isa $isa -v -m "$TINY" -n 3 hi; is 0; err_has "$isa"; SENSES_ISA=$isa run ask -v -m "$TINY" -n 3 hi; is 0; err_has "$isa"
    done
}
# terminal COMMAND...: what a terminal would show of it, in the file shown.
terminal() {
    said=$*
    script -q -e -c "$(printf '%q ' "$SENSES" "$@")" typescript >/dev/null </dev/null
    status=$?
    LC_ALL=C grep -a -v '^Script ' typescript >shown
}
claim_terminals_get_no_control_characters() {
    needs "$TINY" "$(command -v script || echo no-script)"
    esc=$(printf '\033')
    mkdir -p home/models; cp "$TINY" "home/models/${esc}[31mb.gguf"
    SENSES_HOME=$PWD/home terminal models; is 0; grep -a -q 'x1b\[31mb' shown || wrong "the name is not shown"
    name=$("$SENSES" info "$TINY" | sed -n 's/^name: //p'); [ -n "$name" ] || skip "the model has no name"
    LC_ALL=C sed "s/${name:0:6}/${esc}[31mX/" "$TINY" >sly.gguf
    run info sly.gguf; is 0; grep -a -q "name: ${esc}\[31mX" out || wrong "the name was not planted"
    terminal info sly.gguf; is 0; grep -a -q 'name: \[31mX' shown || wrong "the rest of the name is not shown"
    LC_ALL=C grep -a -q "$esc" shown && wrong "an escape reached the terminal"
}
