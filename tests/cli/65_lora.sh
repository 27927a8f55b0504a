# LoRA adapters on text models, and models that they are merged into.
BASE=$GOLDEN/text/llama_smollm.gguf LORA_A=$GOLDEN/text/lora_smollm_a.gguf LORA_B=$GOLDEN/text/lora_smollm_b.gguf

# say FILE OPTION...: next-token logits into FILE.
say() { file=$1; shift; run logits --raw -o "$file" "$@" "Hello there"; is 0; err_empty; }
same() { cmp -s "$1" "$2" || wrong "$1 and $2 differ"; }
other() { cmp -s "$1" "$2" && wrong "$1 and $2 are the same"; }
# near FILE FILE LEAST: by their cosine.
near() {
    paste <(tail -c +129 "$1" | od -An -v -w4 -t f4) <(tail -c +129 "$2" | od -An -v -w4 -t f4) |
        awk -v least="$3" '{ ab += $1 * $2; aa += $1 * $1; bb += $2 * $2 }
            END { c = ab / sqrt(aa * bb); if (NR > 9 && c >= least) exit 0; print "cosine " c ", wanted " least; exit 1 }' || wrong "$1 and $2 differ"
}
nothing_left() { [ -z "$(find . -name 'x.gguf' -o -name '.senses-*')" ] || wrong "something was left: $(find . -name 'x.gguf' -o -name '.senses-*')"; }

claim_lora_changes_what_every_command_says() {
    needs "$BASE" "$LORA_A"
    say bare.npy -m "$BASE"; say with.npy -m "$BASE" --lora "$LORA_A"; other bare.npy with.npy
    say one.npy -m "$BASE" --lora "$LORA_A:1"; same with.npy one.npy
    run ask -m "$BASE" --raw --temp 0 -n 8 --ids Hello; is 0; cp out bare
    run ask -m "$BASE" --lora "$LORA_A" --raw --temp 0 -n 8 --ids Hello; is 0; err_empty; other bare out
    run ask -v -m "$BASE" --lora "$LORA_A:0.5" --raw -n 1 Hello; is 0; err_has "adapter: $LORA_A (scale 0.5)"
    echo "Hello" >words; stdin=words run chat -q -m "$BASE" --chat-template chatml --temp 0 -n 4; is 0; cp out bare
    stdin=words run chat -q -m "$BASE" --lora "$LORA_A" --chat-template chatml --temp 0 -n 4; is 0; err_empty; other bare out
    run bench -m "$BASE" --lora "$LORA_A" -p 4 -n 2 -r 1 --json; is 0; err_empty
}
claim_lora_of_scale_0_is_no_lora() {
    needs "$BASE" "$LORA_A" "$LORA_B"
    say bare.npy -m "$BASE"
    for s in 0 0.0 -0 .0 0e5; do say zero.npy -m "$BASE" --lora "$LORA_A:$s" --lora "$LORA_B:$s"; same bare.npy zero.npy; done
}
claim_loras_add_up_in_any_number() {
    needs "$BASE" "$LORA_A" "$LORA_B"
    say a.npy -m "$BASE" --lora "$LORA_A"; say ab.npy -m "$BASE" --lora "$LORA_A" --lora "$LORA_B"; other a.npy ab.npy
    say ba.npy -m "$BASE" --lora="$LORA_B" --lora="$LORA_A"; near ab.npy ba.npy 0.999999
    say parts.npy -m "$BASE" --lora "$LORA_A:0.75" --lora "$LORA_A:+2.5e-1"; near a.npy parts.npy 0.999999
    say back.npy -m "$BASE" --lora "$LORA_A" --lora "$LORA_A:-1"; say bare.npy -m "$BASE"; near bare.npy back.npy 0.999999
}
claim_a_scale_is_a_number_behind_the_last_colon() {
    needs "$BASE" "$LORA_A"
    say a.npy -m "$BASE" --lora "$LORA_A"; say half.npy -m "$BASE" --lora "$LORA_A:.5"
    cp "$LORA_A" a:b; cp "$LORA_A" 7:8; cp "$LORA_A" ./-dash
    say got.npy -m "$BASE" --lora a:b; same a.npy got.npy
    say got.npy -m "$BASE" --lora a:b:0.5; same half.npy got.npy
    say got.npy -m "$BASE" --lora 7:8:1; same a.npy got.npy
    say got.npy -m "$BASE" --lora -dash:0.5; same half.npy got.npy
    for s in 1e7 -1e7 1e99 0.5.5 1-1 ++1; do run logits -m "$BASE" --lora "$LORA_A:$s" -o x.npy hi; wrong_usage; err_has "--lora: '$s' is not a number"; done
    for s in nan inf "" 0x10 " 1" 1,5; do run logits -m "$BASE" --lora "$LORA_A:$s" -o x.npy hi; failed_with_one_line; err_has "lora_smollm_a.gguf:$s"; done
    run ask --lora "" hi; wrong_usage; run ask --lora :1 hi; wrong_usage; run ask hi --lora; wrong_usage
    [ ! -e x.npy ] || wrong "x.npy was written"
}
claim_a_lora_that_does_not_fit_is_refused_before_anything_is_said() {
    needs "$BASE" "$LORA_A"
    run ask -m "$TINY" --lora "$LORA_A" --raw -n 2 hi; failed_with_one_line; out_empty; err_has "lora_smollm_a.gguf: blk.0."; err_has "$TINY"
    run ask -m "$GOLDEN/text/llama_qwen2.gguf" --lora "$LORA_A" --raw -n 2 hi; failed_with_one_line; out_empty; err_has qwen2
    run ask -m "$BASE" --lora "$BASE" --raw -n 2 hi; failed_with_one_line; out_empty; err_has "is not a LoRA"
    run ask -m "$LORA_A" --raw -n 2 hi; failed_with_one_line; out_empty; err_has "is an adapter"
    make_bad_files
    head -c 20000 "$LORA_A" >cut.gguf
    for f in $bad; do run ask -m "$BASE" --lora "./$f" --raw -n 2 hi; failed_with_one_line; out_empty; err_has "$f"; done
}
claim_lora_without_a_text_model_is_wrong_usage() {
    run sketch --lora "$LORA_A" x.png; wrong_usage; err_has "-m"
    run transcribe --lora "$LORA_A" a.wav; wrong_usage; run info --lora x y; wrong_usage; run tokenize --lora x; wrong_usage
}
claim_info_tells_an_adapter() {
    needs "$LORA_A" "$LORA_B"
    run info "$LORA_A"; is 0; out_has "kind: adapter"; out_has "architecture: llama"; out_has "adapter: lora"; out_has "rank: 4"; out_has "alpha: 8"
    run info --json "$LORA_B"; is 0; json_lines out kind adapter rank
}
claim_merge_makes_a_model_that_says_the_same() {
    needs "$BASE" "$LORA_A" "$LORA_B"
    run quantize -q "$BASE" f32.gguf F32; is 0
    cp "$BASE" bf16.gguf
    for line in f32:0.9999999 bf16:0.999; do
        base=./${line%:*}.gguf
        run merge -m "$base" --lora "$LORA_A:0.5" --lora "$LORA_B" -o m.gguf; is 0; out_empty; err_has "m.gguf: "; err_has "16 of 21 tensors changed"
        say run.npy -m "$base" --lora "$LORA_A:0.5" --lora "$LORA_B"; say merged.npy -m ./m.gguf; near run.npy merged.npy "${line#*:}"
        say bare.npy -m "$base"; other bare.npy merged.npy
    done
    run merge -q -m "$BASE" --lora "$LORA_A" -t 1 -o one.gguf; is 0; err_empty
    run merge -q -m "$BASE" --lora "$LORA_A" -t 3 -o three.gguf; is 0; same one.gguf three.gguf
    run merge -m "$BASE" --lora "$LORA_A" -o -; is 0; same one.gguf out
    run merge -q -m "$BASE" --lora "$LORA_A:0" -o bare.gguf; is 0; say zero.npy -m ./bare.gguf; say bare.npy -m "$BASE"; same bare.npy zero.npy
}
claim_merge_keeps_the_types_of_quantised_weights() {
    needs "$BASE" "$LORA_A"
    for t in Q8_0:0.999 Q4_0:0.9; do
        run quantize -q "$BASE" q.gguf "${t%:*}"; is 0
        run merge -q -m ./q.gguf --lora "$LORA_A" -o m.gguf; is 0; err_empty
        say run.npy -m ./q.gguf --lora "$LORA_A"; say merged.npy -m ./m.gguf; near run.npy merged.npy "${t#*:}"
        [ "$(stat -c %s q.gguf)" = "$(stat -c %s m.gguf)" ] || wrong "another size"
    done
}
claim_merge_refuses_what_it_cannot_do() {
    needs "$BASE" "$LORA_A"
    run merge; wrong_usage; err_has "--lora"; run merge --lora "$LORA_A"; wrong_usage; err_has "-o"
    run merge --lora "$LORA_A" -o x.gguf more; wrong_usage
    make_bad_files
    for f in $bad; do
        run merge -m "./$f" --lora "$LORA_A" -o x.gguf; failed_with_one_line; err_has "$f"; out_empty
        run merge -m "$BASE" --lora "./$f" -o x.gguf; failed_with_one_line; err_has "$f"; out_empty
    done
    cp "$BASE" base.gguf; cp "$LORA_A" a.gguf; ln a.gguf hard.gguf
    for f in base.gguf a.gguf hard.gguf; do run merge -m ./base.gguf --lora a.gguf -o "$f"; failed_with_one_line; err_has "replace the input"; done
    same base.gguf "$BASE"; same a.gguf "$LORA_A"
    run merge -m "$BASE" --lora "$LORA_A" -o no-such-folder/x.gguf; failed_with_one_line; err_has "no-such-folder/x.gguf"
    run merge -m "$BASE" --lora "$LORA_A" -o /dev/full; failed_with_one_line; err_has "/dev/full"
    (ulimit -f 8; "$SENSES" merge -m "$BASE" --lora "$LORA_A" -o x.gguf >out 2>err)
    status=$? said="merge, on a full disk"; failed_with_one_line; err_has x.gguf
    nothing_left
}
