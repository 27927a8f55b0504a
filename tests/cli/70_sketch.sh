# Websites from drawings: where they go, what is said, what is refused. What the pages do is tried in tests/browser/.

READER=$ROOT/models/sketch.gguf
READER_MMPROJ=$ROOT/models/sketch-mmproj.gguf

claim_a_drawn_page_goes_to_standard_output_or_to_a_file() {
    needs "$READER" "$READER_MMPROJ"
    run sketch "$SAMPLES/sketch-jokes.jpg"; is 0; err_empty
    out_has "<!DOCTYPE html>"; out_has "SHOW PUNCHLINE</button>"; out_has "</html>"; cp out first
    run sketch -o page.html "$SAMPLES/sketch-jokes.jpg"; is 0; out_empty; cmp -s first page.html || wrong "the file is not what standard output gets"
    stdin=$SAMPLES/sketch-jokes.jpg run sketch -; is 0; cmp -s first out || wrong "standard input gives another page"
    run sketch --style sketchy --title "Ha & ha" "$SAMPLES/sketch-jokes.jpg"; is 0; out_has "<title>Ha &amp; ha</title>"; out_has "Comic Neue"
    [ "$(ls)" = "$(printf 'err\nfirst\nout\npage.html')" ] || wrong "files are left: $(ls)"
}
claim_json_has_the_page_and_its_elements() {
    needs "$READER" "$READER_MMPROJ"
    run sketch --json "$SAMPLES/sketch-cafe.jpg"; is 0; json_lines out file type task model text elements seconds
    out_has '"task":"sketch"'; out_has '"type":"title"'
    run sketch --json -o page.html "$SAMPLES/sketch-cafe.jpg"; is 0; json_lines out file text; [ -s page.html ] || wrong "no file"
}
claim_a_page_that_cannot_be_written_is_an_error() {
    needs "$READER" "$READER_MMPROJ"
    run sketch --json -o none/page.html "$SAMPLES/sketch-jokes.jpg"; failed_with_one_line; json_lines out file error seconds; out_lacks '"text"'; out_has "none/page.html"
    TMPDIR=$PWD/none run sketch --json --open "$SAMPLES/sketch-jokes.jpg"; failed_with_one_line; json_lines out error; err_has "No such file or directory"
    # no room for the page in a folder that can be made: the folder goes again
    mkdir tmp; (ulimit -f 0; TMPDIR=$PWD/tmp "$SENSES" sketch -q --open "$SAMPLES/sketch-jokes.jpg") >said 2>&1
    [ -z "$(ls tmp)" ] || wrong "left: $(ls -R tmp)"
}
claim_json_and_the_page_do_not_share_standard_output() { run sketch --json -o - "$SAMPLES/sign.png"; wrong_usage; err_has "-o FILE"; }
claim_a_title_of_nothing_is_the_pages_own() {
    needs "$READER" "$READER_MMPROJ"
    run sketch --title "" "$SAMPLES/sketch-jokes.jpg"; is 0; out_lacks "<title></title>"
}
claim_a_picture_without_a_page_fails_and_writes_nothing() {
    needs "$READER" "$READER_MMPROJ"
    run sketch -o page.html "$SAMPLES/rocket.jpg"; failed_with_one_line; err_has "no page to see in this picture"; out_empty
    [ ! -e page.html ] || wrong "a file was written"
    run sketch --json "$SAMPLES/rocket.jpg"; is 1; json_lines out file error seconds
}
claim_a_picture_that_cannot_be_read_is_an_object_too() {
    run sketch --json ./missing.png; is 1; json_lines out file type task model error seconds; out_has '"model":null'
}
claim_open_starts_the_browser_on_the_page() {
    needs "$READER" "$READER_MMPROJ"
    mkdir bin; printf '#!/bin/sh\nprintf %%s "$1" >"%s/opened"\n' "$PWD" >bin/xdg-open; chmod +x bin/xdg-open
    PATH=$PWD/bin:$PATH run sketch --open -o -page.html "$SAMPLES/sketch-jokes.jpg"; is 0; out_empty
    for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s opened ] && break; sleep 0.1; done
    [ "$(cat opened)" = "$PWD/-page.html" ] || wrong "'$(cat opened)' was opened"
    rm opened
    TMPDIR=$PWD PATH=$PWD/bin:$PATH run sketch --open "$SAMPLES/sketch-jokes.jpg"; is 0; out_empty; err_has "$PWD/senses-"
    ls senses-*/page.html >found || wrong "there is no temporary page"
    mkdir none
    PATH=$PWD/none run sketch --open -o page.html "$SAMPLES/sketch-jokes.jpg"; failed_with_one_line; err_has "xdg-open"
    [ -s page.html ] || wrong "the page that could not be shown is not there"
}
claim_a_browser_that_does_not_start_is_an_error_for_everybody() {
    needs "$READER" "$READER_MMPROJ"
    mkdir bin; printf '#!/bin/sh\n' >bin/open; chmod +x bin/open # what Linux calls so opens a virtual console
    PATH=$PWD/bin run sketch --open -o page.html "$SAMPLES/sketch-jokes.jpg"; failed_with_one_line; err_has "xdg-open"
    PATH=$PWD/bin "$SENSES" sketch --open -o page.html "$SAMPLES/sketch-jokes.jpg" <&- >&- 2>&-; status=$?; is 1
}
claim_the_reader_is_found_beside_the_program_and_where_it_is_installed() {
    needs "$READER" "$READER_MMPROJ"
    mkdir -p there/bin there/share/senses alone; cp "$SENSES" there/bin/senses; cp "$SENSES" alone/senses
    ln -s "$ROOT/models" there/share/senses/models
    SENSES=$PWD/there/bin/senses run sketch "$SAMPLES/sketch-jokes.jpg"; is 0
    SENSES=$PWD/alone/senses run sketch "$SAMPLES/sketch-jokes.jpg"; failed_with_one_line; err_has "make models"
    ln -s "$ROOT/models" alone/models
    SENSES=$PWD/alone/senses run sketch "$SAMPLES/sketch-jokes.jpg"; is 0
}
claim_without_a_reader_the_error_says_how_to_get_one() {
    mkdir alone; cp "$SENSES" alone/senses
    SENSES=$PWD/alone/senses run sketch "$SAMPLES/sign.png"; failed_with_one_line; err_has "make models"; err_has "--mmproj"
}
claim_model_and_encoder_of_a_sketch_come_together() {
    run sketch -m x.gguf "$SAMPLES/sign.png"; wrong_usage; err_has "--mmproj"
    run sketch --mmproj x.gguf "$SAMPLES/sign.png"; wrong_usage; err_has "-m"
    needs "$TINY" "$TINY_AUDIO"
    run sketch -m "$TINY" --mmproj "$TINY_AUDIO" "$SAMPLES/sign.png"; failed_with_one_line; err_has "vision model"
}
claim_bad_pictures_are_refused_before_a_model_is_opened() {
    make_bad_files
    for f in missing empty noise page.html stump.jpg cut.png; do run sketch -m none.gguf --mmproj none.gguf "$f"; failed_with_one_line; err_has "$f"; out_empty; done
}
claim_open_needs_a_file() { run sketch --open -o - "$SAMPLES/sign.png"; wrong_usage; err_has "-o FILE"; run sketch --style pretty x; wrong_usage; err_has "plain, sketchy or modern"; }
