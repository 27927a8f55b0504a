# --audit: faint text is warned of, on standard error and in results; what the models say stays as it is.
FAINT=$GOLDEN/vision/faint/white_28_2.png
WARNING="warning: faint text, which a model may read and a person does not see: at 1.7 % contrast, within 266x56 pixels at 21,45"

claim_faint_text_is_warned_of_and_in_the_result() {
    needs "$TINY" "$TINY_MMPROJ"; set -- -m "$TINY" --mmproj "$TINY_MMPROJ" -n 3 --temp 0
    run describe --audit "$@" "$FAINT"; is 0; err_has "senses: $FAINT: $WARNING"; [ "$(wc -l <err)" -eq 1 ] || wrong "more than the warning"; cp out first
    run describe "$@" "$FAINT"; is 0; err_empty; cmp -s out first || wrong "--audit changes the description"
    run describe -q --audit "$@" "$FAINT"; is 0; err_has "$WARNING" # it was asked for
    run describe -q --audit --json "$@" "$FAINT" "$SAMPLES/sign.png"; is 0; [ "$(grep -c warning err)" -eq 1 ] || wrong "not one warning"
    json_lines out file faint_text; sed -n 1p out | grep -q -F '"faint_text":[{"file":"'"$FAINT"'","contrast":0.0168,"glyphs":28,"x":21,"y":45,"width":266,"height":56}]' || wrong "not told"
    sed -n 2p out | grep -q '"faint_text":\[\]' || wrong "the sign has faint text"
    run describe --json "$@" "$FAINT"; is 0; out_lacks faint_text
    stdin=$FAINT; run describe --audit "$@" -; is 0; err_has "senses: standard input: $WARNING"
}
claim_ask_and_chat_warn_of_each_picture() {
    needs "$TINY" "$TINY_MMPROJ"; set -- -m "$TINY" --mmproj "$TINY_MMPROJ" -n 3 --temp 0
    run ask --audit --json "$@" --image "$SAMPLES/cat.png" --image "$FAINT" "What?"; is 0; err_has "senses: $FAINT: $WARNING"; [ "$(wc -l <err)" -eq 1 ] || wrong "more than the warning"
    out_has '"faint_text":[{"file":"'"$FAINT"'",'
    printf '/image %s\nWhat?\nAnd now?\n/image %s\n/clear\nAnd now?\n' "$FAINT" "$FAINT" >lines
    stdin=lines; run chat -q --audit --json "$@"; is 0; [ "$(grep -c -F "$WARNING" err)" -eq 2 ] || wrong "not each picture"
    [ "$(grep -c '"faint_text":\[{' out)" -eq 1 ] && sed -n 1p out | grep -q '"faint_text":\[{' || wrong "not with the answer that it came with"
}
claim_a_batch_has_it_in_the_records() {
    tiny_reader; mkdir in; cp "$FAINT" in/a.png; cp "$PAGE" in/b.png
    run batch -t 1 -q --audit --task describe -o all.jsonl in; grep -q '"faint_text":\[{' all.jsonl || wrong "no record has it"
    err_has "senses: in/a.png: $WARNING"; grep b.png all.jsonl | grep -q '"faint_text":\[\]' || wrong "the page has faint text"
    run batch -t 1 --task describe -o all.jsonl in; err_has "2 done, 0 failed"; run batch -t 1 --audit --task describe -o all.jsonl in; err_has "2 before"
}
batch_models() { tiny_reader; tiny_whisper; }
claim_the_frames_of_a_video_are_looked_through() {
    needs "$TINY" "$TINY_MMPROJ"; film=$GOLDEN/video/faint.mp4; set -- -m "$TINY" --mmproj "$TINY_MMPROJ" -n 3
    run ask -q --audit --json "$@" --video "$film" "What?"; is 0; err_has "senses: $film at 0:00: warning: faint text"; out_has '"faint_text":[{"file":"'"$film"' at 0:00",'
    batch_models; run batch -q --audit --whisper ./tiny-whisper.gguf "$@" "$film"; is 0; err_has "senses: $film at 0:00: warning: faint text"; out_has '"faint_text":[{'
}
claim_audit_is_for_what_a_model_sees() { for c in "transcribe a" "tokenize" "info a" "sketch a"; do run $c --audit; wrong_usage; done; }
