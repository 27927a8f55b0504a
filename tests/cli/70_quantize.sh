# Model files made smaller.

# logits_near FILE LEAST: the next-token logits of a quantised $TINY are those of itself, by their cosine.
logits_near() {
    [ -e whole.npy ] || run logits -m "$TINY" --raw -o whole.npy "Hello there"
    run logits -m "$1" --raw -o part.npy "Hello there"; is 0; err_empty
    paste <(tail -c +129 whole.npy | od -An -v -w4 -t f4) <(tail -c +129 part.npy | od -An -v -w4 -t f4) |
        awk -v least="$2" '{ ab += $1 * $2; aa += $1 * $1; bb += $2 * $2 }
            END { c = ab / sqrt(aa * bb); if (NR > 9 && c >= least) exit 0; print "cosine " c ", wanted " least; exit 1 }' || wrong "$1: other logits"
}
nothing_left() { [ -z "$(find . -name 'x.gguf' -o -name '.senses-*')" ] || wrong "something was left: $(find . -name 'x.gguf' -o -name '.senses-*')"; }

claim_quantize_makes_a_smaller_model_that_answers() {
    needs "$TINY"
    last=$(stat -c %s "$TINY")
    for line in F16:0.99999 Q8_0:0.9995 Q6_K:0.9995 Q5_K_M:0.997 Q4_K_M:0.985 Q4_0:0.97; do
        t=${line%:*}
        run quantize "$TINY" "$t.gguf" "$t"; is 0; out_empty; err_has "$t.gguf: "; err_has "MB of weights became"
        logits_near "./$t.gguf" "${line#*:}"
        run ask -m "./$t.gguf" --raw --temp 0 -n 4 --ids Hello; is 0; json_lines out --array
        n=$(stat -c %s "$t.gguf"); [ "$n" -le "$last" ] || wrong "$t is larger than what is before it: $n bytes"; last=$n
        run info --json "./$t.gguf"; is 0; json_lines out kind bytes
    done
    [ "$last" -lt $(($(stat -c %s "$TINY") / 2)) ] || wrong "Q4_0 has $last bytes"
}
claim_quantize_gives_the_same_file_on_any_threads() {
    needs "$TINY"
    run quantize -q -t 1 "$TINY" one.gguf Q4_K_M; is 0; err_empty
    run quantize -q -t 3 "$TINY" three.gguf q4_k_m; is 0; cmp -s one.gguf three.gguf || wrong "another file on three threads"
    run quantize -q --isa scalar "$TINY" scalar.gguf Q4_K_M; is 0; cmp -s one.gguf scalar.gguf || wrong "another file with --isa scalar"
    run quantize "$TINY" - Q4_K_M; is 0; cmp -s one.gguf out || wrong "another file on standard output"
    mkdir -p home/models; cp "$TINY" home/models/small.gguf
    SENSES_HOME=$PWD/home run quantize -q small named.gguf Q4_K_M; is 0; cmp -s one.gguf named.gguf || wrong "another file by name"
}
claim_quantize_takes_encoders_and_speech() {
    needs "$TINY" "$TINY_MMPROJ" "$TINY_AUDIO"; tiny_whisper
    run quantize -q "$TINY_MMPROJ" eyes.gguf Q8_0; is 0
    run encode -o rows.npy -m "$TINY" --mmproj ./eyes.gguf --image "$SAMPLES/sign.png"; is 0; err_empty
    run quantize -q "$TINY_AUDIO" ears.gguf Q8_0; is 0
    run encode -o rows.npy --mmproj ./ears.gguf --audio "$SAMPLES/jfk.wav"; is 0; err_empty
    run quantize -q ./tiny-whisper.gguf w.gguf Q5_0; is 0
    run transcribe --whisper ./w.gguf "$SAMPLES/silence.wav"; is 0
}
claim_quantize_replaces_a_file_only_when_it_is_done() {
    needs "$TINY"
    echo before >x.gguf; run quantize "$TINY" x.gguf Q9; wrong_usage; err_has "Q4_K_M"
    echo '<html>' >page.html; run quantize page.html x.gguf Q8_0; failed_with_one_line; [ "$(cat x.gguf)" = before ] || wrong "it was replaced"
    umask 022; chmod 600 x.gguf; run quantize -q "$TINY" x.gguf Q8_0; is 0; logits_near ./x.gguf 0.9995
    ln -s x.gguf link.gguf; run quantize -q "$TINY" link.gguf Q4_0; is 0; [ -L link.gguf ] || wrong "the link was replaced"
}
claim_quantize_refuses_what_it_cannot_do() {
    needs "$TINY"
    run quantize; wrong_usage; run quantize "$TINY" x.gguf; wrong_usage; run quantize "$TINY" x.gguf Q8_0 more; wrong_usage
    make_bad_files
    for f in $bad; do run quantize "./$f" x.gguf Q8_0; failed_with_one_line; err_has "$f"; out_empty; done
    cp "$TINY" same.gguf; ln -s same.gguf link.gguf; ln same.gguf hard.gguf
    for f in same.gguf ./same.gguf link.gguf hard.gguf; do run quantize same.gguf "$f" Q8_0; failed_with_one_line; err_has "replace the input"; done
    cmp -s "$TINY" same.gguf || wrong "the input was changed"
    run quantize "$TINY" no-such-folder/x.gguf Q8_0; failed_with_one_line; err_has "no-such-folder/x.gguf"
    run quantize "$TINY" folder Q8_0; failed_with_one_line
    run quantize "$TINY" /dev/full Q8_0; failed_with_one_line; err_has "/dev/full"
    nothing_left
}
claim_quantize_again_only_when_it_is_asked_for() {
    needs "$TINY"
    run quantize -q "$TINY" once.gguf Q8_0; is 0
    run quantize ./once.gguf x.gguf Q4_0; failed_with_one_line; err_has "once.gguf: is quantised already"; err_has "--allow-requantize"; nothing_left
    run quantize --allow-requantize ./once.gguf x.gguf Q4_0; is 0; err_has "were quantised before"; logits_near ./x.gguf 0.95
    run quantize -q ./once.gguf larger.gguf F16; is 0; logits_near ./larger.gguf 0.9995
}
claim_quantize_onto_a_full_disk_leaves_nothing() {
    needs "$TINY"
    (ulimit -f 8; "$SENSES" quantize "$TINY" x.gguf Q8_0 >out 2>err)
    status=$? said="quantize $TINY x.gguf Q8_0, on a full disk"; failed_with_one_line; err_has x.gguf; nothing_left
}
claim_quantize_interrupted_leaves_nothing() {
    needs_model whisper-base.gguf
    for sig in INT:130 TERM:143 HUP:129; do
        "$SENSES" quantize -t 1 "$MODELS/whisper-base.gguf" x.gguf Q6_K >out 2>err &
        pid=$! said="quantize, interrupted by ${sig%:*}"
        for ((i = 0; i < 200; i++)); do [ -n "$(find . -name '.senses-*')" ] && break; sleep 0.05; done
        [ "$i" -lt 200 ] || wrong "no temporary file appeared"
        kill "-${sig%:*}" $pid; wait $pid; status=$?
        is "${sig#*:}"; out_empty; err_empty; nothing_left
    done
}
