# Drafts and the cache's type: what may not change does not, and what was done is said.
claim_a_draft_changes_no_text() {
    needs "$MODELS/smollm2-135m-instruct-q4_1.gguf"
    printf 'The crates left Rotterdam at six. The crates arrive in Hamburg on Friday. The crates left Rotterdam at six.\n' >t.txt
    for how in "--temp 0 --repeat-penalty 1" "--temp 0.7 --seed 4" "--temp 0.5 --seed 4 --fields=what,when"; do
        # shellcheck disable=SC2086
        run ask -m "$MODELS/smollm2-135m-instruct-q4_1.gguf" -q $how -n 40 --ids --text t.txt "Say it again, word for word."; is 0; mv out plain
        # shellcheck disable=SC2086
        run ask -m "$MODELS/smollm2-135m-instruct-q4_1.gguf" -q $how -n 40 --ids --draft ngram --text t.txt "Say it again, word for word."; is 0
        cmp -s out plain || wrong "$how: another text"
    done
}
claim_a_draft_says_what_came_true() {
    needs "$TINY"
    run ask -v -m "$TINY" --raw -n 40 --draft ngram "a b a b a b a b"; is 0; err_has "tokens accepted"
    run ask -q --json -m "$TINY" --raw -n 40 --draft ngram "a b a b a b a b"; is 0; json_lines out draft_proposed draft_accepted
    run ask -m "$TINY" --draft eagle hi; wrong_usage; err_has "none or ngram"
}
claim_the_cache_in_blocks_takes_half() {
    needs "$MODELS/smollm2-135m-instruct-q4_1.gguf"
    run ask -v -m "$MODELS/smollm2-135m-instruct-q4_1.gguf" -n 8 --kv-type q8 "What is the capital of France?"; is 0; err_has "53.9 MiB (q8)"
    run ask -v -m "$MODELS/smollm2-135m-instruct-q4_1.gguf" -n 8 "What is the capital of France?"; is 0; err_has "96.1 MiB (f16)"
    run ask -m "$TINY" --kv-type q4 hi; wrong_usage; err_has "f16 or q8"
}
claim_precision_is_for_wide_quantised_models_and_floats() {
    needs "$MODELS/smollm2-135m-instruct-q4_1.gguf"
    local wide=$MODELS/smollm2-135m-instruct-q4_1.gguf
    run quantize -q "$TINY" narrow.gguf Q8_0; is 0
    for how in int8 f32; do
        run logits -q -m narrow.gguf --precision $how --raw -o narrow-$how.npy "The crates arrive in Hamburg on"; is 0
        run logits -q -m "$wide" --precision $how --raw -o $how.npy "The crates arrive in Hamburg on"; is 0
        run logits -q -m "$TINY" --precision $how --raw -o tiny-$how.npy "The crates arrive in Hamburg on"; is 0
    done
    run logits -q -m "$wide" --raw -o usual.npy "The crates arrive in Hamburg on"; is 0
    cmp -s usual.npy int8.npy || wrong "int8 is not the default"
    cmp -s int8.npy f32.npy && wrong "--precision changes nothing"
    cmp -s narrow-int8.npy narrow-f32.npy || wrong "a narrow model is not taken closely"
    cmp -s tiny-int8.npy tiny-f32.npy && wrong "float weights are not rounded"
    for how in int8 f32; do run encode -q --no-cache --mmproj "$TINY_MMPROJ" --precision $how --image "$GOLDEN/vision/small.png" -o rows-$how.npy; is 0; done
    cmp -s rows-int8.npy rows-f32.npy && wrong "an encoder's float weights are not rounded"
    run encode -q --mmproj "$TINY_MMPROJ" --image "$GOLDEN/vision/small.png" -o kept.npy; is 0; cmp -s kept.npy rows-int8.npy || wrong "not the default's rows"
    run encode -q --mmproj "$TINY_MMPROJ" --precision f32 --image "$GOLDEN/vision/small.png" -o kept.npy; is 0; cmp -s kept.npy rows-f32.npy || wrong "the cache gave the other precision's rows"
    run ask -m "$TINY" --precision f16 hi; wrong_usage; err_has "int8 or f32"
}
