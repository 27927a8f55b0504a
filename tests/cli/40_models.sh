# Models by name, by file, by default; what is in them; the bench.

claim_models_are_found_by_name_and_by_file() {
    needs "$TINY"
    mkdir -p home/models; cp "$TINY" home/models/small.gguf
    for m in small small.gguf ./home/models/small.gguf; do SENSES_HOME=$PWD/home run tokenize -m "$m"; is 0; done
    mkdir -p data/senses; mv home/models data/senses/models
    SENSES_HOME= XDG_DATA_HOME=$PWD/data run tokenize -m small; is 0
    mkdir -p .local/share; mv data/senses .local/share/senses
    SENSES_HOME= HOME=$PWD run tokenize -m small; is 0
    cp "$TINY" small; SENSES_HOME=/nonexistent run tokenize -m small; is 0
}
claim_the_default_bundle_is_used_when_it_is_there() {
    needs "$TINY"; tiny_whisper
    mkdir -p home/models; cp "$TINY" home/models/smollm2-135m-instruct-q4_1.gguf; cp tiny-whisper.gguf home/models/whisper-base.gguf
    export SENSES_HOME=$PWD/home
    run ask -v -n 1 hi; is 0; err_has "smollm2-135m-instruct-q4_1.gguf"
    for n in smollm2 smollm2-135m-instruct smollm2-135m-instruct-q4_1; do run ask -n 1 -m "$n" hi; is 0; done
    run transcribe -v "$SAMPLES/silence.wav"; is 0; err_has "whisper-base.gguf"
    cp tiny-whisper.gguf home/models/whisper-tiny.en.gguf
    run transcribe -v "$SAMPLES/silence.wav"; is 0; err_has "whisper-tiny.en.gguf"
    for n in tiny.en whisper-tiny.en base whisper-base; do run transcribe --whisper "$n" "$SAMPLES/silence.wav"; is 0; done
}
claim_models_lists_what_is_there() {
    needs "$TINY" "$TINY_MMPROJ"; tiny_whisper
    mkdir alone; cp "$SENSES" alone/senses; SENSES=$PWD/alone/senses
    SENSES_HOME=$PWD/none run models; is 0; out_empty; err_has "make models"
    SENSES_HOME=$PWD/none run models -q; is 0; out_empty; err_empty
    mkdir -p home/models; cp "$TINY" home/models/smollm2-135m-instruct-q4_1.gguf; cp "$TINY_MMPROJ" home/models/eyes.gguf
    cp tiny-whisper.gguf "home/models/my ears.gguf"; echo junk >home/models/junk.gguf; echo no >home/models/notes.txt
    export SENSES_HOME=$PWD/home
    run models; is 0; err_empty; [ "$(wc -l <out)" -eq 4 ] || wrong "$(wc -l <out) lines"; out_has "default for text"; out_has "unreadable"; out_lacks notes
    run models --json; is 0; json_lines out name file bytes kind default; grep -q '"default":true' out || wrong "no default is marked"
}
claim_models_lists_what_comes_with_the_program_too() {
    mkdir -p there/bin there/models there/share/senses; cp "$SENSES" there/bin/senses; cp -r "$GOLDEN/page" there/share/senses/models
    SENSES=$PWD/there/bin/senses; export SENSES_HOME=$PWD/there
    run models; is 0; err_empty; [ "$(grep -c 'default for pages' out)" -eq 2 ] || wrong "the pair is not listed: $(cat out)"
    cp "$GOLDEN/page/sketch.gguf" there/models
    run models; is 0; grep -v 'default for pages' out >half; [ "$(grep -c '^sketch' half)" -eq 1 ] || wrong "half a pair is a default: $(cat out)"
    [ "$(grep -c 'default for pages' out)" -eq 2 ] || wrong "the pair that is used is not listed: $(cat out)"
    cp "$GOLDEN"/page/sketch*.gguf there/models
    run models --json; is 0; [ "$(grep -c '"name":"sketch' out)" -eq 2 ] || wrong "what nothing reaches is listed"; grep -q there/models/sketch out || wrong "not the first pair"
}
number_of() { sed -n "s/^$1: //p" out; }
claim_info_says_what_a_file_goes_with() {
    needs "$TINY" "$TINY_WIDE" "$TINY_MMPROJ" "$TINY_AUDIO"
    run info "$TINY"; is 0; out_has "image_encoders: llava, llava-next"; out_has "audio_encoders: ultravox"
    run info "$TINY_WIDE"; is 0; grep -q '^image_encoders: idefics3$' out || wrong "$(grep image_ out)"
    run info "$TINY_MMPROJ"; is 0; out_has "family: llava"; out_has "row_width: 64"; out_has "decoders: llama, "; out_lacks qwen2vl; out_lacks with_tokens
    run info "$GOLDEN/fusion/smolvlm_mmproj.gguf"; is 0; out_has "decoders_with_tokens: <fake_token_around_image>"
    run info "$TINY_AUDIO"; is 0; out_has "decoders_with_tokens: [BEGIN_AUDIO]"; run info "$GOLDEN/vision/gemma3.gguf"; out_has "decoders: gemma3"
    run info --json "$TINY" "$TINY_MMPROJ"; is 0; json_lines out memory_weights
}
claim_info_tells_the_memory_that_a_run_takes() {
    needs "$TINY"
    run info -c 1000 "$TINY"; is 0; cache=$(number_of memory_cache); out_has "memory_context: 1000"
    run info -c 3000 "$TINY"; [ "$(number_of memory_cache)" -eq $((3 * cache)) ] || wrong "keys and values do not grow with the context"
    [ "$(number_of memory)" -eq $(($(number_of memory_weights) + 3 * cache + $(number_of memory_work) + $(number_of memory_program))) ] || wrong "no sum"
    [ -z "${SENSES_SLOW:-}" ] || return # a sanitizer's own memory is far more than what is told
    needs_model smollm2-135m-instruct-q4_1.gguf
    for m in "$TINY" "$MODELS/smollm2-135m-instruct-q4_1.gguf"; do
        run info -c 512 "$m"; is 0; told=$(number_of memory)
        run bench -m "$m" -p 512 -n 1 -r 1 --json; is 0; took=$(sed -n '1s/.*"rss_bytes":\([0-9]*\).*/\1/p' out)
        # 15 %, and of the program's own pages what the system may keep or leave (one machine maps 6 MB of them, another 7)
        off=$((told > took ? told - took : took - told)); [ "$off" -le $((took * 15 / 100 + 1500000)) ] || wrong "$m: told $told, took $took"
    done
}
claim_info_says_what_is_in_a_file() {
    needs "$TINY" "$TINY_MMPROJ"
    run info "$TINY"; is 0; err_empty; out_has "kind: "; out_has "architecture: llama"
    run info --json "$TINY" "$TINY_MMPROJ"; is 0; json_lines out kind bytes; [ "$(wc -l <out)" -eq 2 ] || wrong "not one line a file"
    run info "$TINY"; is 0; out_has "sha256: $(sha256sum "$TINY" | cut -d ' ' -f 1)"
    run info "$TINY" ./missing "$TINY_MMPROJ"; is 1; out_has "==> $TINY_MMPROJ <=="
}
claim_bench_has_the_contracts_fields() {
    needs "$TINY" "$TINY_MMPROJ"; tiny_whisper
    run bench -m "$TINY" --mmproj "$TINY_MMPROJ" --whisper ./tiny-whisper.gguf -p 8 -n 4 -r 2 --json; is 0; err_empty
    json_lines out model type params bytes threads cpu isa test n ms per_s rss_bytes
    [ "$("$TMP/json" --print test <out | tr -d '"' | tr '\n' ' ')" = "pp8 tg4 image window decode " ] || wrong "tests: $("$TMP/json" --print test <out | tr '\n' ' ')"
    run bench -m "$TINY" -p 8 -n 4 -r 1; is 0; out_has pp8; out_has tg4; out_has "tokens/s"
}
claim_convert_makes_a_model_that_opens() {
    tiny_whisper; run info tiny-whisper.gguf; is 0; out_has "kind: speech"
    run convert "$GOLDEN/audio/whisper_tiny_f16" -o no-such-folder/x.gguf; failed_with_one_line
}
claim_convert_makes_a_text_model_that_answers() {
    run convert "$GOLDEN/convert/smollm" -o tiny-smollm.gguf; is 0; err_has "written in"
    run info tiny-smollm.gguf; is 0; out_has "kind: text model"; out_has "type: BF16"
    run ask --raw --ids -n 3 -m tiny-smollm.gguf hi; is 0
    run convert --type f32 "$GOLDEN/convert/smollm/" -o wide.gguf; is 0; run info wide.gguf; out_has "type: F32"
    run convert --type q4 "$GOLDEN/convert/smollm" -o x.gguf; wrong_usage
    run convert --type f16 "$GOLDEN/audio/whisper_tiny_f16" -o x.gguf; is 1; err_has "keeps its types"
    [ ! -e x.gguf ] || wrong "x.gguf was left"
}
claim_convert_makes_a_model_that_sees() {
    folder=$GOLDEN/convert_encoders/smolvlm; small=$GOLDEN/vision/small.png
    run convert "$folder" -o eyes.gguf --mmproj mm-eyes.gguf; is 0; err_has "eyes.gguf: written in"; err_has "mm-eyes.gguf: written with it"
    run ask --raw --ids -n 3 -m eyes.gguf --mmproj mm-eyes.gguf --image "$small" "<__media__> hi"; failed_with_one_line; err_has "not a pair" # this folder's words have no tokens for pictures
    run encode --mmproj mm-eyes.gguf --image "$small" -o rows.npy; is 0; [ -s rows.npy ] || wrong "no rows"
    run convert "$folder" --mmproj alone.gguf; is 0; cmp -s alone.gguf mm-eyes.gguf || wrong "the encoder alone is another"
    run convert "$GOLDEN/convert_encoders/voxtral" --mmproj ears.gguf; is 0; run info ears.gguf; is 0; out_has "architecture: clip"
    run convert "$folder" -o both.gguf --mmproj ./both.gguf; failed_with_one_line; err_has "cannot both"
    run convert "$GOLDEN/convert/smollm" -o x.gguf --mmproj y.gguf; failed_with_one_line; err_has "config.json"; err_has "no encoder"
    run convert "$GOLDEN/audio/whisper_tiny_f16" -o x.gguf --mmproj y.gguf; failed_with_one_line; err_has "no encoder of its own"
    run convert "$GOLDEN/convert_encoders/ultravox" -o x.gguf --mmproj y.gguf; failed_with_one_line; err_has "is missing" # no decoder in it
    run convert "$folder" -o x.gguf --mmproj no-such-folder/y.gguf; failed_with_one_line; err_has "no-such-folder/y.gguf"
    mkdir cut; cp "$folder"/* cut/; head -c 60000 "$folder/model.safetensors" >cut/model.safetensors
    run convert ./cut -o x.gguf --mmproj y.gguf; failed_with_one_line; err_has "./cut/model.safetensors"; err_has "cut short"
    [ -z "$(find . -name '[xy].gguf*')" ] || wrong "files were left: $(find . -name '[xy].gguf*')"
}
