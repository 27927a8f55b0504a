# chat through a pipe.

claim_chat_answers_line_by_line() {
    needs "$TINY"
    printf 'Hello\n\nAgain\n/quit\nnever\n' >talk; stdin=talk
    run chat -q -m "$TINY" -n 4 --json; is 0; err_empty; json_lines out text tokens task model; [ "$(wc -l <out)" -eq 2 ] || wrong "$(wc -l <out) answers"
    printf 'no end of line' >talk; run chat -q -m "$TINY" -n 4 --json; is 0; [ "$(wc -l <out)" -eq 1 ] || wrong "the last line is lost"
    : >talk; run chat -q -m "$TINY"; is 0; out_empty
}
claim_chat_forgets_on_clear() {
    needs "$TINY"
    printf 'Hello\n' >talk; stdin=talk; run chat -q -m "$TINY" --temp 0 -n 8; cp out once
    printf 'Hello\n/clear\nHello\n' >talk; run chat -q -m "$TINY" --temp 0 -n 8; is 0
    cat once once >twice; cmp -s out twice || wrong "the second answer knows the first"
}
claim_chat_saves() {
    needs "$TINY"
    printf 'Hello\n/save my talk.txt\n/save no-such-folder/x\n' >talk; stdin=talk
    run chat -m "$TINY" -n 4; is 1; err_has "my talk.txt"; err_has "no-such-folder/x"; head -n 1 "my talk.txt" | grep -q '^you: Hello$' || wrong "saved: $(cat 'my talk.txt')"
}
claim_chat_goes_on_after_mistakes() {
    needs "$TINY" "$TINY_MMPROJ"
    printf '/bogus\n/image\n/image missing.png\n/image %s\nwhat\n' "$SAMPLES/sign.png" >talk; stdin=talk
    run chat -q -m "$TINY" --mmproj "$TINY_MMPROJ" -n 4 --json; is 1; json_lines out text; [ "$(wc -l <err)" -eq 3 ] || wrong "$(wc -l <err) messages"
    err_has "/bogus"; err_has "missing.png"
}
claim_chat_takes_media_at_the_start() {
    needs "$TINY" "$TINY_MMPROJ"
    printf 'what\n' >talk; stdin=talk
    run chat -v -m "$TINY" --mmproj "$TINY_MMPROJ" --image "$SAMPLES/sign.png" -n 4; is 0; err_has "image 1:"
}
claim_what_frames_a_prompt_is_said() {
    needs "$TINY"
    run ask -v -m "$TINY" -n 1 hi; is 0; err_has "framed by the built-in chat template vicuna (the file has none of its own)"
    run ask -v -m "$TINY" --chat-template chatml -n 1 hi; is 0; err_has "framed by the built-in chat template chatml (asked for)"
    run ask -v -m "$TINY" --raw -n 1 hi; is 0; ! grep -q "framed by" err || wrong "a raw prompt has a frame"
    run ask -m "$TINY" -n 1 hi; is 0; err_empty
    run info "$TINY"; out_has "chat_template: built in"; out_has "built_in_template: vicuna"
    run convert "$GOLDEN/convert/smollm" -o own.gguf; is 0
    run ask -v -m ./own.gguf -n 1 hi; is 0; err_has "framed by the chat template in ./own.gguf"
    run info own.gguf; out_has "chat_template: the file's own"; out_has "built_in_template: chatml"
}
claim_a_template_that_doubles_media_is_named() {
    cp -r "$GOLDEN/convert_encoders/smolvlm" own; chmod -R u+w own; rm -f own/chat_template*
    sed -i 's/<|im_start|>/<image>/g; s/<|im_end|>/<global-img>/g; s/<custom>/<fake_token_around_image>/g' own/tokenizer*.json
    python3 - own/tokenizer_config.json <<'P'
import json, sys
t = json.load(open(sys.argv[1])); t["chat_template"] = "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}"
json.dump(t, open(sys.argv[1], "w"))
P
    run convert own -o t.gguf --mmproj m.gguf -q; is 0
    run ask -m t.gguf -n 1 hi; is 0
    run ask -m t.gguf --mmproj m.gguf --image "$SAMPLES/sign.png" -n 1 hi; failed_with_one_line
    err_has "the chat template in t.gguf writes 2 places for the 1 media of this turn"
}
