# What describe, ask, chat and logits see without a vision model: pages, by the reader. Its sense is tried with the trained one.

READER=$ROOT/models/sketch.gguf
READER_MMPROJ=$ROOT/models/sketch-mmproj.gguf
NOTE="seen by the page reader (sketch.gguf)"

claim_describe_says_what_stands_on_a_page_and_needs_no_text_model() {
    tiny_reader
    run describe "$PAGE"; is 0; err_has "$NOTE"; err_has "--mmproj"; [ "$(wc -l <err)" -eq 1 ] || wrong "more than the note"
    grep -q -E '^[a-z]+( [0-9]+)?:' out || wrong "no element: $(head -n 1 out)"; cp out first
    run describe -q "$PAGE"; is 0; err_empty; cmp -s out first || wrong "-q changes the page"
    stdin=$PAGE; run describe -q -; is 0; cmp -s out first || wrong "standard input gives another page"
    run describe -v "$PAGE"; is 0; err_has "sketch-mmproj.gguf"; ! grep -q "text model" err || wrong "a text model was opened"
}
claim_describe_reads_several_pages_and_notes_it_once() {
    tiny_reader; cp "$PAGE" "a page.png"
    run describe "$PAGE" "$NO_PAGE" "a page.png"; is 1; [ "$(grep -c '^==> ' out)" -eq 3 ] || wrong "not every picture is headed"
    [ "$(grep -c -F "$NOTE" err)" -eq 1 ] || wrong "the note is said $(grep -c -F "$NOTE" err) times"
    grep -q "^senses: $NO_PAGE: no page to see" err || wrong "it does not say which picture shows no page"; [ "$(wc -l <err)" -eq 2 ] || wrong "$(wc -l <err) lines"
    run describe --json "$PAGE" "$NO_PAGE"; is 1; json_lines out file type task model tokens seconds; [ "$(wc -l <out)" -eq 2 ] || wrong "not one line a picture"
    [ "$(grep -c '"model":"sketch.gguf"' out)" -eq 2 ] || wrong "the model is not the reader"
    sed -n 1p out >one; json_lines one text; sed -n 2p out >two; json_lines two error
}
claim_a_question_or_a_model_makes_describe_ask() {
    needs "$TINY"; tiny_reader
    run describe -v -m "$TINY" -n 4 "$PAGE"; is 0; err_has "llava15_text.gguf"; err_has "$NOTE"; err_has "as text"
    run describe --json -m "$TINY" -n 4 -p "what?" "$PAGE"; is 0; json_lines out file text tokens seconds; out_has '"model":"llava15_text.gguf"'
    run describe -p "what?" "$PAGE"; failed_with_one_line; err_has smollm2; err_has "make models"
}
claim_the_page_reaches_the_model_as_text() {
    needs "$TINY"; tiny_reader
    run describe -q "$PAGE"; cp out words
    run logits -q -m "$TINY" --raw --image "$PAGE" -o a.npy "<__media__> What?"; is 0; run logits -m "$TINY" --raw --text words -o b.npy "<__media__> What?"; is 0
    cmp -s a.npy b.npy || wrong "in a raw prompt the page is not what describe prints"
    (echo "The page in the picture:"; cat words) >framed
    run logits -q -m "$TINY" --image "$PAGE" -o a.npy "What?"; is 0; run logits -m "$TINY" --text framed -o b.npy "What?"; is 0
    cmp -s a.npy b.npy || wrong "the page is not what describe prints behind the line that says what it is"
}
claim_ask_reads_pages_beside_other_media() {
    needs "$TINY"; tiny_reader; echo "some words" >t.txt
    run ask -m "$TINY" --image "$PAGE" --text t.txt --image "$PAGE" -n 4 --json "what?"; is 0; json_lines out file type task model text tokens seconds
    out_has '"type":["image","text","image"]'; [ "$(grep -c -F "$NOTE" err)" -eq 1 ] || wrong "the note is said $(grep -c -F "$NOTE" err) times"
    run ask -q -m "$TINY" --image "$PAGE" -n 4 "what?"; is 0; err_empty
    run ask -m "$TINY" --image "$PAGE" --image "$NO_PAGE" "what?"; is 1; err_has "$NO_PAGE: no page to see"; out_empty
}
claim_a_vision_model_sees_for_itself() {
    needs "$TINY" "$TINY_MMPROJ"; tiny_reader
    run ask -v -m "$TINY" --mmproj "$TINY_MMPROJ" --image "$PAGE" -n 2 "what?"; is 0; ! grep -q sketch err || wrong "the reader was opened"
    run describe -m "$TINY" --mmproj "$TINY_MMPROJ" -n 2 "$PAGE"; is 0; err_empty
}
claim_chat_reads_pages() {
    needs "$TINY"; tiny_reader
    printf '/image %s\nwhat\n/image %s\n/image %s\nwhat\n' "$PAGE" "$NO_PAGE" "$PAGE" >talk; stdin=talk
    run chat -m "$TINY" -n 4 --json; is 1; json_lines out text; [ "$(wc -l <out)" -eq 2 ] || wrong "$(wc -l <out) answers"
    [ "$(grep -c -F "$NOTE" err)" -eq 1 ] || wrong "the note is said $(grep -c -F "$NOTE" err) times"; err_has "$NO_PAGE: no page to see"
    echo what >talk; run chat -q -m "$TINY" --image "$PAGE" -n 4 --json; is 0; err_empty; json_lines out text
}
claim_an_interruption_in_chat_ends_only_the_reading() {
    needs "$TINY"; tiny_reader
    mkfifo pipe; printf '/image pipe\nwhat\n' >talk
    "$SENSES" chat -m "$TINY" -n 4 --json <talk >out 2>err &
    local pid=$!
    said="chat, interrupted"
    exec 3>pipe # as soon as it reads there
    kill -INT $pid; cat "$PAGE" >&3 2>/dev/null; exec 3>&-
    wait $pid; status=$?
    is 1; err_has "pipe: reading it was stopped"; [ "$(wc -l <out)" -eq 1 ] || wrong "$(wc -l <out) answers"; json_lines out text
}
claim_the_reader_is_listed_and_described() {
    tiny_reader
    run models; is 0; [ "$(grep -c 'default for pages' out)" -eq 2 ] || wrong "the pair is not marked: $(cat out)"; out_has "writer of pages"; out_has "image encoder"
    run info sketch; is 0; out_has "kind: writer of pages"; out_lacks chat_template; run info sketch-mmproj; is 0; out_has "adapter: senses_page"
}
claim_the_page_reader_takes_no_image_fit() {
    needs "$TINY"; tiny_reader
    run describe --image-fit pad "$PAGE"; wrong_usage; err_has "--image-fit"
    run ask -m "$TINY" --image-fit crop --image "$PAGE" "what?"; wrong_usage; run logits -m "$TINY" --image-fit crop --image "$PAGE" -o x.npy "what?"; wrong_usage
    run chat -m "$TINY" --image-fit stretch; wrong_usage; err_has "--mmproj"
}
claim_both_files_of_the_pair_come_from_one_folder() {
    mkdir -p bin share/senses home/models; cp "$SENSES" bin/senses; cp -r "$GOLDEN/page" share/senses/models; SENSES=$PWD/bin/senses
    export SENSES_HOME=$PWD/home
    cp "$GOLDEN/vision/internvl.gguf" home/models/sketch-mmproj.gguf # what is left of another pair
    run describe -v "$PAGE"; is 0; err_has "share/senses/models/sketch.gguf"; err_has "share/senses/models/sketch-mmproj.gguf"
    cp share/senses/models/sketch*.gguf home/models; rm share/senses/models/sketch.gguf
    run describe -v "$PAGE"; is 0; err_has "home/models/sketch.gguf"; err_has "home/models/sketch-mmproj.gguf"
    rm home/models/sketch-mmproj.gguf
    run describe "$PAGE"; failed_with_one_line; err_has "make models"
}
short_reader() { # the tiny reader with a context that is too small for what it would write about PAGE
    tiny_reader
    local f=home/models/sketch.gguf key=llama.context_length at
    at=$(LC_ALL=C grep -abo $key $f | head -n 1 | cut -d: -f1)
    printf '\0\001\0\0' | dd of=$f bs=1 seek=$((at + ${#key} + 4)) conv=notrunc status=none
    run info sketch; out_has "context: 256"
}
claim_who_gets_the_beginning_of_a_page_is_told() {
    local cut="$PAGE: only the beginning of the page was read"
    needs "$TINY"; short_reader
    run describe --json "$PAGE" "$PAGE"; is 0; json_lines out file text partial; [ "$(grep -c -F "$cut" err)" -eq 2 ] || wrong "not said of each picture"
    run sketch --json "$PAGE"; is 0; json_lines out text partial; err_has "$cut"
    run sketch -q -o page.html "$PAGE"; is 0; err_empty
    run ask -m "$TINY" --image "$PAGE" -n 4 --json "what?"; is 0; json_lines out text partial; err_has "$cut"
    printf '/image %s\nwhat\nwhat\n' "$PAGE" >talk; stdin=talk
    run chat -m "$TINY" -n 4 --json; is 0; [ "$(grep -c '"partial":true' out)" -eq 1 ] || wrong "not the first answer alone is about half a page"; err_has "$cut"
    stdin=/dev/null
    needs "$READER" "$READER_MMPROJ"
    SENSES_HOME=/nonexistent run sketch --json "$SAMPLES/sketch-cafe.jpg"; is 0; err_empty; out_lacks partial
}
claim_the_trained_reader_describes_and_answers() {
    needs "$READER" "$READER_MMPROJ"; needs_model smollm2-135m-instruct-q4_1.gguf
    run describe "$SAMPLES/sketch-jokes.jpg"; is 0; err_has "$NOTE"; out_has "SHOW PUNCHLINE"
    run ask --image "$SAMPLES/sketch-jokes.jpg" "What does the second button say?"; is 0; err_has "$NOTE"; [ -s out ] || wrong "no answer"
    run describe "$SAMPLES/cat.png" "$SAMPLES/rocket.jpg" "$SAMPLES/coffee.png"; is 1; [ "$(grep -c 'no page to see' err)" -eq 3 ] || wrong "photographs are pages"
}
