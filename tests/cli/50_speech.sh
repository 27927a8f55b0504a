# transcribe, and speech in ask. The tiny Whisper understands nothing; what needs sense needs the real one.

claim_every_format_is_written() {
    tiny_whisper
    for f in txt srt vtt json csv lrc; do run transcribe --whisper ./tiny-whisper.gguf -f $f "$SAMPLES/jfk.wav"; is 0; err_empty; done
    run transcribe --whisper ./tiny-whisper.gguf --json "$SAMPLES/jfk.wav"; is 0
    json_lines out file type task model language duration text segments seconds
    run transcribe --whisper ./tiny-whisper.gguf -f vtt "$SAMPLES/silence.wav"; is 0; [ "$(head -n 1 out)" = WEBVTT ] || wrong "no WEBVTT"
}
claim_recordings_go_to_files_of_their_own() {
    tiny_whisper; mkdir texts
    run transcribe -q --whisper ./tiny-whisper.gguf -f srt -o texts "$SAMPLES/jfk.wav" "$SAMPLES/queue.ogg"; is 0; out_empty; err_empty
    [ -e texts/jfk.srt ] && [ -e texts/queue.srt ] && [ "$(find texts -type f | wc -l)" -eq 2 ] || wrong "texts holds $(ls texts)"
    run transcribe -q --whisper ./tiny-whisper.gguf -o by-name.vtt "$SAMPLES/jfk.wav"; is 0; [ "$(head -n 1 by-name.vtt)" = WEBVTT ] || wrong "the name gives no format"
}
claim_outputs_that_would_be_lost_are_refused() {
    cp "$SAMPLES/silence.wav" a.wav; mkdir d; cp a.wav d/a.wav; mkdir out-folder; cp a.wav keep
    run transcribe -o one.txt a.wav d/a.wav; wrong_usage; run transcribe -o out-folder a.wav d/a.wav; wrong_usage; err_has "both"
    run transcribe -o a.wav a.wav; wrong_usage; err_has overwrite; cmp -s a.wav keep || wrong "the recording was touched"
    run transcribe -f srt a.wav d/a.wav; wrong_usage; err_has "-o FOLDER"
}
claim_a_failed_recording_leaves_no_file() {
    tiny_whisper; printf x >bad.wav
    run transcribe --whisper ./tiny-whisper.gguf -o o.srt bad.wav; failed_with_one_line; [ -z "$(find . -name 'o.srt*')" ] || wrong "o.srt was left"
    echo old >o.srt; run transcribe --whisper ./tiny-whisper.gguf -o o.srt bad.wav; [ "$(cat o.srt)" = old ] || wrong "the old file is gone"
}
claim_several_recordings_are_headed_and_a_bad_one_is_passed() {
    tiny_whisper
    run transcribe --whisper ./tiny-whisper.gguf "$SAMPLES/silence.wav" ./missing.wav "$SAMPLES/silence.wav"; is 1; err_has "senses: ./missing.wav"
    [ "$(grep -c '^==> ' out)" -eq 3 ] || wrong "not every file is headed"; [ "$(wc -l <err)" -eq 1 ] || wrong "not one error"
    run transcribe --json --whisper ./tiny-whisper.gguf "$SAMPLES/silence.wav" ./missing.wav; is 1; json_lines out file type task model seconds
    sed -n 2p out >two; json_lines two error
}
claim_an_unknown_language_is_one_line() { tiny_whisper; run transcribe --whisper ./tiny-whisper.gguf -l klingon "$SAMPLES/jfk.wav"; failed_with_one_line; err_has klingon; }
claim_the_default_model_transcribes() {
    needs_model whisper-tiny.en.gguf
    for f in jfk.wav jfk.mp3; do
        run transcribe "$SAMPLES/$f"; is 0; err_empty
        tr -d '[:punct:]\n' <out | tr '[:upper:]' '[:lower:]' | tr -s ' ' >words
        grep -q "my fellow americans ask not what your country can do for you *ask what you can do for your country" words || wrong "heard: $(cat out)"
    done
    stdin=$SAMPLES/jfk.wav; run transcribe -f json -; is 0; json_lines out segments; out_has '"file":"-"'; out_has country
}
claim_silence_gives_no_text() { needs_model whisper-tiny.en.gguf; run transcribe "$SAMPLES/silence.wav"; is 0; out_empty; }
claim_an_english_model_says_what_hears_other_languages() {
    needs_model whisper-tiny.en.gguf
    run transcribe -l de "$SAMPLES/jfk.wav"; failed_with_one_line; err_has "--whisper base"
    run transcribe --translate "$SAMPLES/jfk.wav"; failed_with_one_line; err_has "--whisper base"
    run transcribe -l en "$SAMPLES/jfk.wav"; is 0
}
claim_cues_are_in_order_and_do_not_overlap() {
    needs_model whisper-tiny.en.gguf
    run transcribe -f csv "$SAMPLES/jfk.wav"; is 0; head -n 1 out | grep -q '^start,end,text$' || wrong "no header"
    awk -F, 'NR > 1 { if ($1 < end || $2 <= $1) bad = 1; end = $2; n++ } END { exit bad || n == 0 }' out || wrong "cues: $(cat out)"
    run transcribe -f srt "$SAMPLES/jfk.wav"; is 0
    awk 'BEGIN { RS = ""; FS = "\n" } { if ($1 != NR || $2 !~ /^[0-9][0-9]:[0-9][0-9]:[0-9][0-9],[0-9][0-9][0-9] --> [0-9:]+,[0-9][0-9][0-9]$/ || $3 == "") bad = 1 } END { exit bad || NR == 0 }' out || wrong "not SRT"
}
claim_ask_says_whether_it_transcribed_or_listened() {
    needs_model smollm2-135m-instruct-q4_1.gguf whisper-tiny.en.gguf
    run ask --audio "$SAMPLES/jfk.wav" -n 2 "What is said?"; is 0; err_has "transcribed by whisper-tiny.en.gguf"; err_has "as text"
    run ask -q --audio "$SAMPLES/jfk.wav" -n 2 "What is said?"; is 0; err_empty
}
claim_the_transcript_reaches_the_model() {
    needs_model smollm2-135m-instruct-q4_1.gguf whisper-tiny.en.gguf
    run transcribe -f json "$SAMPLES/jfk.wav"; "$TMP/json" --print text <out | sed 's/^"//; s/"$//' | tr -d '\n' >t.txt
    run logits --raw --audio "$SAMPLES/jfk.wav" -o a.npy "<__media__> What?"; is 0
    run logits --raw --text t.txt -o b.npy "<__media__> What?"; is 0
    cmp -s a.npy b.npy || wrong "the transcript is not what the model reads"
}
claim_the_default_model_answers_as_text_and_in_json() {
    needs_model smollm2-135m-instruct-q4_1.gguf
    run ask --raw --temp 0 -n 8 "The capital of France is"; is 0; err_empty; out_has "Paris"
    run ask --json -n 8 hi; is 0; json_lines out file type task model text tokens seconds
}
