# Model files that are something else, that pretend, or that change while they are used. Systematic mutations: tests/robust.

# Every command that opens a model with the file.
opened_by_every_command() {
    local f=$1
    set -- "ask -n 1 -m $f hi" "describe -m $f --mmproj $TINY_MMPROJ $PAGE" "describe -m $TINY --mmproj $f $PAGE" "tokenize -m $f" "info $f" \
        "logits -m $f -o out.npy hi" "bench -m $f -p 1 -n 1 -r 1" "encode --mmproj $f --image $PAGE -o out.npy" "bench --mmproj $f -r 1" \
        "encode --mmproj $f --audio $SAMPLES/jfk.wav -o out.npy" "transcribe --whisper $f $SAMPLES/jfk.wav" "bench --whisper $f -r 1" \
        "ask -n 1 -m $TINY --lora $f hi" "quantize $f out.gguf Q8_0" "merge -m $TINY --lora $f -o out.gguf"
    for command; do
        run $command
        failed_with_one_line; err_has "$f"
        [ -z "${kind:-}" ] || err_has "$kind"
        [ -z "$(ls out.npy out.gguf 2>/dev/null)" ] || wrong "an output was left"
    done
}
claim_what_is_no_model_is_named_by_every_command() {
    needs "$TINY" "$TINY_MMPROJ"
    printf '<!DOCTYPE html><html><body>404</body></html>\n' >a; kind="an HTML page" opened_by_every_command ./a
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n' >b; kind="git lfs pull" opened_by_every_command ./b
    printf 'PK\003\004\024\000\000\000\010\000 archive' >c; kind="a zip archive" opened_by_every_command ./c
    printf '\120\000\000\000\000\000\000\000{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1]}}' >d; kind="a safetensors file" opened_by_every_command ./d
    printf 'Dear model, please answer.\n' >e; kind="a text file" opened_by_every_command ./e
}
claim_a_model_without_a_byte_of_its_end_is_refused() {
    needs "$TINY" "$TINY_MMPROJ" "$TINY_AUDIO"; tiny_whisper; kind=
    for f in "$TINY" "$TINY_MMPROJ" "$TINY_AUDIO" tiny-whisper.gguf; do
        head -c -1 "$f" >cut
        opened_by_every_command ./cut
    done
}
claim_a_name_with_control_characters_reaches_no_terminal() { # a tensor's, in a message
    needs "$TINY"
    sed 's/output_norm\.weight/out\x1b[31m\n\x07rm.weigh/' "$TINY" >evil; run ask -n 1 -m ./evil hi; failed_with_one_line; err_has ./evil
    run info ./evil
    LC_ALL=C grep -q $'[\x01-\x08\x0e-\x1f\x7f]' out err && wrong "control characters were printed"
}
claim_a_model_cut_short_in_use_is_one_line() {
    needs "$TINY"
    cp "$TINY" model.gguf; mkfifo talk
    "$SENSES" chat -q -m ./model.gguf -n 4 <talk >out 2>err &
    said="chat, its model cut short"
    exec 5>talk
    echo Hello >&5
    for ((i = 0; i < 600; i++)); do [ -s out ] && break; sleep 0.05; done # it has answered: it is in use
    : >model.gguf
    echo Again >&5
    exec 5>&-
    wait $!
    status=$?
    failed_with_one_line; err_has "/model.gguf: was cut short"
}
claim_long_lists_of_special_words_take_no_time() { # each word was looked for among all
    cp -r "$GOLDEN/convert/gpt2files" own; chmod -R u+w own
    python3 - <<'P'
import json
n = 100000
settings = json.load(open("own/tokenizer_config.json"))
settings["additional_special_tokens"] = [f"s{i}" for i in range(n)]
json.dump(settings, open("own/tokenizer_config.json", "w"))
json.dump({f"w{i}": i for i in range(n)}, open("own/vocab.json", "w"))
P
    said="convert own"; timeout 60 "$SENSES" convert own -o x.gguf >out 2>err; status=$?
    failed_with_one_line; err_has "is not one of the model's 313 words"; [ ! -e x.gguf ] || wrong "an output was left"
}
claim_a_vocabulary_without_the_prompts_words_is_named() {
    needs "$TINY"
    python3 - "$ROOT/tests/robust" "$GOLDEN/text/llama_smollm.gguf" >bare.gguf <<'P'
import struct, sys
sys.path.insert(0, sys.argv[1])
import mutate
g = mutate.Gguf(open(sys.argv[2], "rb").read())
def without_words(key, kind, value):
    if key != b"tokenizer.ggml.tokens":
        return key, kind, value
    elem, n = struct.unpack_from("<IQ", value)
    return key, kind, struct.pack("<IQ", elem, n) + mutate.pack_string(b"") * n
sys.stdout.buffer.write(mutate.write_gguf(g, keys=[without_words(*k) for k in g.keys]))
P
    run ask --raw -n 1 -m ./bare.gguf hello; failed_with_one_line; err_has "bare.gguf: its vocabulary has no token for anything in the prompt"
}
