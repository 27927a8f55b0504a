# Videos in ask and chat: key frames, each behind its time, then what is said.

VIDEO=$GOLDEN/video

claim_ask_reads_the_pages_of_a_video_and_hears_it() {
    needs_model smollm2-135m-instruct-q4_1.gguf whisper-tiny.en.gguf sketch.gguf sketch-mmproj.gguf
    run ask --video "$SAMPLES/pages.mp4" -n 8 --json "What is this?"; is 0; json_lines out file type task model text tokens seconds
    out_has '"type":"video"'; err_has "3 key frames, 2 shown to the model"; err_has "pages.mp4 at 0:07: no page to see in this frame"
    err_has "transcribed by whisper-tiny.en.gguf"
    run ask --video "$SAMPLES/pages.mp4" --max-frames 1 -n 8 "What is this?"; is 0; err_has "1 key frame, 1 shown to the model"
}
claim_ask_shows_frames_to_an_image_encoder() {
    needs "$TINY" "$TINY_MMPROJ"
    run ask -v -m "$TINY" --mmproj "$TINY_MMPROJ" --video "$VIDEO/cards.mp4" -n 4 "what?"; is 0
    err_has "3 key frames, 3 shown to the model; there is no sound"; pictures 3
    run ask -v -m "$TINY" --mmproj "$TINY_MMPROJ" --video "$VIDEO/cards.mp4" --max-frames 2 -n 4 "what?"; is 0; pictures 2
}
pictures() { [ "$(grep -c '^image [0-9]*: ' err)" -eq "$1" ] || wrong "$(grep -c '^image [0-9]*: ' err) pictures, wanted $1"; }
claim_chat_takes_a_video() {
    needs "$TINY" "$TINY_MMPROJ"
    printf '/video %s\nwhat?\n/video\n/video missing\n' "$VIDEO/cards.mp4" >lines; stdin=lines
    run chat -m "$TINY" --mmproj "$TINY_MMPROJ" -n 4; is 1; err_has "3 key frames"; err_has "/video FILE"; err_has "missing: cannot open"
}
claim_what_is_no_video_is_one_line() {
    needs "$TINY" "$TINY_MMPROJ"
    make_bad_files
    head -c 2000 "$VIDEO/cards.mp4" >cut.mp4
    for f in $bad cut.mp4 "$VIDEO/sound_only.m4a" "$VIDEO/cover.mp3" "$VIDEO/cover.m4a" "$SAMPLES/jfk.wav"; do
        run ask -m "$TINY" --mmproj "$TINY_MMPROJ" --video "$f" "what?"; failed_with_one_line; out_empty; err_has "$f"
    done
    run ask -m "$TINY" --mmproj "$TINY_MMPROJ" --video - "what?"; failed_with_one_line; err_has "name a file"
    run ask --video x --max-frames 0 "what?"; wrong_usage
}
claim_describe_tells_a_video_on_its_timeline() {
    needs "$TINY" "$TINY_MMPROJ"; needs_model sketch.gguf sketch-mmproj.gguf whisper-tiny.en.gguf
    run describe "$SAMPLES/pages.mp4"; is 0; out_has "] picture: "; out_has "] speech: "; [ "$(grep -c picture: out)" = 2 ] || wrong "$(grep -c picture: out) pages in it"
    run describe --json "$SAMPLES/pages.mp4"; is 0; json_lines out file type task model text timeline seconds; out_has '"type":"video"'
    run describe -m "$TINY" --mmproj "$TINY_MMPROJ" -n 4 --max-frames 2 "$VIDEO/cards.mp4"; is 0; [ "$(grep -c picture: out)" = 2 ] || wrong "not two frames"
    run describe "$VIDEO/sound_only.m4a"; failed_with_one_line
}
claim_a_marker_stands_for_a_whole_video() {
    needs "$TINY" "$TINY_MMPROJ"; printf 'some words' >t.txt
    set -- logits -m "$TINY" --mmproj "$TINY_MMPROJ" --raw
    run "$@" --video "$VIDEO/cards.mp4" -o a.npy "<__media__>what?"; is 0; run "$@" --video "$VIDEO/cards.mp4" -o b.npy "what?"; is 0; cmp -s a.npy b.npy || wrong "the marker takes a part of it"
    run "$@" --text t.txt --video "$VIDEO/cards.mp4" -o c.npy "<__media__> and <__media__>what?"; is 0; run "$@" --text t.txt --video "$VIDEO/cards.mp4" -o d.npy " and <__media__>what?"; is 0
    run "$@" -q --video "$VIDEO/cards.mp4" -o e.npy "<__media__> and <__media__>"; failed_with_one_line; err_has "2 <__media__> markers, but 1 media"
}
