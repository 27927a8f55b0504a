# A missing, empty, cut, random or wrong file of every kind: status 1, one line, and its name in it.

# bad_for OK -- COMMAND with FILE in it...: runs the command with every bad file in the place of FILE, but those of OK.
bad_for() {
    local fine=" $1 " f
    shift 2
    for f in $bad; do
        case $fine in *" $f "*) continue ;; esac
        run "${@/FILE/./$f}"
        failed_with_one_line
        err_has "./$f"
        out_empty
        [ ! -e out.npy ] || wrong "an output file was left"
    done
}

claim_a_bad_text_model_is_one_line() { make_bad_files; bad_for "" -- ask -n 1 -m FILE hi; }
claim_a_bad_text_model_of_other_commands_is_one_line() {
    make_bad_files
    for f in $bad; do
        run tokenize -m "./$f"; failed_with_one_line; run logits -m "./$f" -o out.npy hi; failed_with_one_line
        run bench -m "./$f" -p 1 -n 1 -r 1; failed_with_one_line; run chat -m "./$f"; failed_with_one_line
    done
}
claim_a_wrong_kind_of_gguf_is_one_line() {
    needs "$TINY" "$TINY_MMPROJ"; tiny_whisper
    for f in "$TINY_MMPROJ" tiny-whisper.gguf; do run ask -n 1 -m "./${f#"$PWD"/}" hi; [ -e "./$f" ] || run ask -n 1 -m "$f" hi; failed_with_one_line; done
    for f in "$TINY" "$PWD/tiny-whisper.gguf"; do
        run ask -n 1 -m "$TINY" --mmproj "$f" hi; failed_with_one_line; err_has "${f##*/}"
    done
    for f in "$TINY" "$TINY_MMPROJ"; do run transcribe --whisper "$f" "$SAMPLES/jfk.wav"; failed_with_one_line; err_has "${f##*/}"; done
}
claim_a_bad_mmproj_is_one_line() { needs "$TINY"; make_bad_files; bad_for "" -- encode -o out.npy --image "$SAMPLES/sign.png" --mmproj FILE; }
claim_a_bad_whisper_model_is_one_line() { make_bad_files; bad_for "" -- transcribe --whisper FILE "$SAMPLES/jfk.wav"; }
claim_a_bad_picture_is_one_line() { needs "$TINY_MMPROJ"; make_bad_files; bad_for "" -- encode -o out.npy --mmproj "$TINY_MMPROJ" --image FILE; }
claim_a_sound_is_no_picture() {
    needs "$TINY_MMPROJ"
    for f in jfk.wav jfk.mp3 newuser.flac queue.ogg; do
        run encode -o out.npy --mmproj "$TINY_MMPROJ" --image "$SAMPLES/$f"; failed_with_one_line; err_has "$f"
    done
}
claim_a_pipe_that_may_not_be_held_is_one_line() { # what comes through it is held in a file, which a limit of their size counts
    needs "$TINY_MMPROJ"; tiny_whisper
    (ulimit -f 64; head -c 200000 /dev/zero | "$SENSES" transcribe --whisper ./tiny-whisper.gguf - >out 2>err; status=$?
     failed_with_one_line; err_has "standard input: more than 65536 bytes from a pipe"; exit "$case_status") || case_status=1
    (ulimit -f 64; head -c 200000 /dev/zero | "$SENSES" encode --mmproj "$TINY_MMPROJ" -o out.npy --image - >out 2>err; status=$?
     failed_with_one_line; err_has "more than 65536 bytes from a pipe"; exit "$case_status") || case_status=1
}
claim_a_bad_recording_is_one_line() { tiny_whisper; make_bad_files; bad_for "" -- transcribe --whisper ./tiny-whisper.gguf FILE; }
claim_a_picture_is_no_recording() {
    tiny_whisper
    for f in cat.png palace.jpg; do run transcribe --whisper ./tiny-whisper.gguf "$SAMPLES/$f"; failed_with_one_line; err_has "$f"; done
}
claim_a_bad_recording_for_an_audio_encoder_is_one_line() {
    needs "$TINY_AUDIO"; make_bad_files; bad_for "" -- encode -o out.npy --mmproj "$TINY_AUDIO" --audio FILE
}
claim_a_bad_text_file_is_one_line() {
    needs "$TINY"; make_bad_files; printf 'a\0b' >nul; bad="$bad nul"
    bad_for "page.html pointer" -- ask -n 1 -m "$TINY" --text FILE hi
}
claim_a_question_that_is_no_text_is_one_line() {
    needs "$TINY"; make_bad_files
    stdin=noise; run ask -n 1 -m "$TINY" -; failed_with_one_line; err_has "standard input"
}
claim_a_bad_file_for_info_is_one_line() { make_bad_files; bad_for "" -- info FILE; }
claim_a_bad_folder_for_convert_is_one_line() {
    make_bad_files; mkdir no-model
    for f in $bad no-model; do run convert "./$f" -o out.gguf; failed_with_one_line; err_has "./$f"; [ ! -e out.gguf ] || wrong "out.gguf was left"; done
    [ -z "$(find . -name 'out*gguf*')" ] || wrong "a temporary file was left"
}
claim_pictures_without_a_page_say_which_files_to_bring() {
    needs "$TINY"; tiny_reader
    for c in describe sketch "describe -m $TINY" "ask -m $TINY hi --image" "logits -m $TINY hi -o out.npy --image"; do
        run $c "$NO_PAGE"; failed_with_one_line; err_has "$NO_PAGE: no page to see"; err_has "-m FILE --mmproj FILE"; out_empty
    done
    [ ! -e out.npy ] || wrong "out.npy was left"
}
claim_an_ear_alone_describes_no_picture() {
    needs "$TINY" "$TINY_AUDIO"; tiny_reader
    run describe -m "$TINY" --mmproj "$TINY_AUDIO" "$PAGE"; failed_with_one_line; err_has "vision model"; err_has "--mmproj"
}
claim_a_bad_picture_is_one_line_without_a_vision_model() {
    needs "$TINY"; tiny_reader; make_bad_files
    bad_for "" -- describe FILE; bad_for "" -- ask -n 1 -m "$TINY" --image FILE hi
}
claim_an_encoder_of_another_width_is_refused_with_both_names() {
    needs "$TINY_WIDE" "$TINY_MMPROJ" "$TINY_AUDIO"
    run describe -m "$TINY" --mmproj "$TINY_AUDIO" "$SAMPLES/sign.png"; failed_with_one_line
    run encode -m "$TINY" --mmproj "$TINY_AUDIO" --audio "$SAMPLES/jfk.wav" -o out.npy; failed_with_one_line
    err_has llava15_text.gguf; err_has front_voxtral.gguf
    [ ! -e out.npy ] || wrong "out.npy was left"
}
claim_an_encoder_of_another_family_is_refused_with_both_names_before_anything_is_read() {
    needs "$TINY_WIDE" "$TINY_MMPROJ"
    for c in "describe none.png" "ask --image none.png hi" "ask hi" "chat" "logits -o out.npy hi" "batch --task ask -p hi $SAMPLES" "sketch $SAMPLES/sign.png"; do
        run $c -m "$TINY_WIDE" --mmproj "$TINY_MMPROJ"; failed_with_one_line
        err_has "llava15_mmproj.gguf: an encoder (image, llava), but"; err_has "smolvlm_text.gguf is a text model (llama)"; out_empty
    done
}
claim_models_of_another_kind_say_what_they_are() {
    needs "$TINY" "$TINY_MMPROJ"
    run ask -m "$TINY_MMPROJ" hi; failed_with_one_line; err_has "llava15_mmproj.gguf: is an encoder of pictures or sound (mmproj), not a text model"
    run ask -m "$TINY" --mmproj "$TINY" hi; failed_with_one_line; err_has "not an encoder with an adapter (mmproj)"
    tiny_reader; run ask -m "$TINY" --image "$NO_PAGE" hi; failed_with_one_line; err_has "$NO_PAGE"; err_has "llava15_text.gguf is a text model"
}
claim_two_encoders_of_one_kind_are_refused() {
    needs "$TINY" "$TINY_MMPROJ"; run ask -m "$TINY" --mmproj "$TINY_MMPROJ" --mmproj "$TINY_MMPROJ" hi; failed_with_one_line
}
claim_a_missing_default_model_says_what_brings_it() {
    run ask hi; failed_with_one_line; err_has "make models"; err_has "smollm2"
    run transcribe "$SAMPLES/jfk.wav"; failed_with_one_line; err_has "make models"; err_has "whisper-tiny.en"
    mkdir alone; cp "$SENSES" alone/senses # beside the program there is a reader, once it is built whole
    SENSES=$PWD/alone/senses run describe "$SAMPLES/sign.png" "$SAMPLES/cat.png"; failed_with_one_line; err_has "make models"; err_has "sketch"; out_empty
    needs "$TINY"
    SENSES=$PWD/alone/senses run ask -m "$TINY" --image "$SAMPLES/sign.png" hi; failed_with_one_line; err_has "make models"; err_has "sketch"
    run ask -m no-such-model hi; failed_with_one_line; err_has "no-such-model"; err_has "senses models"
    SENSES_HOME= HOME= run ask hi; failed_with_one_line; err_has "SENSES_HOME"
}
claim_a_picture_over_the_limit_is_refused() {
    needs "$TINY_MMPROJ"
    run encode -o out.npy --mmproj "$TINY_MMPROJ" --image "$SAMPLES/cat.png" --max-pixels 100; failed_with_one_line; err_has "cat.png"
}
claim_a_prompt_beyond_the_context_is_refused_with_figures() {
    needs "$TINY"
    run ask -m "$TINY" -c 8 -n 4 "one two three four five six seven eight nine ten eleven twelve"; failed_with_one_line; err_has 8
}
claim_without_the_sandbox_it_is_said_and_the_result_is_the_same() {
    needs "$TINY_MMPROJ"
    run encode -o a.npy --mmproj "$TINY_MMPROJ" --image "$SAMPLES/sign.png"; is 0
    run encode -v -o a.npy --mmproj "$TINY_MMPROJ" --image "$SAMPLES/sign.png"; is 0; err_has "sandbox of media decoders: seccomp"
    run encode --no-sandbox -o b.npy --mmproj "$TINY_MMPROJ" --image "$SAMPLES/sign.png"; is 0; err_has "--no-sandbox: media are decoded in this process"
    cmp -s a.npy b.npy || wrong "the results differ"
    for c in describe ask chat encode logits sketch transcribe; do run help "$c"; out_has "--no-sandbox"; done
}
