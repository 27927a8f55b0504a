# Answers that are held to a grammar, a JSON schema or a list of fields.
claim_fields_give_whole_json_however_short() {
    needs "$MODELS/smollm2-135m-instruct-q4_1.gguf"
    for seed in 1 2 3 4 5; do
        for n in 24 40; do
            run ask -m "$MODELS/smollm2-135m-instruct-q4_1.gguf" -q --temp 1 --seed $seed -n $n --fields "title, people:int, kind:a|b, tags[]" "A film as JSON."
            is 0; err_empty; json_lines out title people kind tags
        done
    done
    run ask -m "$MODELS/smollm2-135m-instruct-q4_1.gguf" -q -n 3 --fields "title, people:int" "A film as JSON."; failed_with_one_line; out_empty; err_has "3 tokens"
}
claim_a_grammar_gives_its_texts_alone() {
    needs "$TINY"
    printf 'root ::= "yes" | "no"\n' >yn.gbnf
    run ask -q -m "$TINY" --grammar yn.gbnf "Is it so?"; is 0; err_empty
    case $(cat out) in yes | no) ;; *) wrong "neither yes nor no: $(head -c 100 out)" ;; esac
    printf '{"type": "boolean"}' >b.json
    run ask -q -m "$TINY" --json-schema b.json "Is it so?"; is 0; err_empty
    case $(cat out) in true | false) ;; *) wrong "neither true nor false: $(head -c 100 out)" ;; esac
}
claim_what_is_no_grammar_is_refused() {
    needs "$TINY"
    printf 'root ::= "a"\nx ::= [b\n' >bad.gbnf; printf '{"type": "string", "pattern": "a"}' >bad.json; printf '{' >no.json
    run ask -m "$TINY" --grammar bad.gbnf hi; failed_with_one_line; err_has "line 2"
    run ask -m "$TINY" --json-schema bad.json hi; failed_with_one_line; err_has 'bad.json: "pattern"'
    run ask -m "$TINY" --json-schema no.json hi; failed_with_one_line; err_has "no.json: not JSON"
    run ask -m "$TINY" --json-schema none.json hi; failed_with_one_line; err_has "none.json"
    run ask -m "$TINY" --fields "a:what" hi; failed_with_one_line; err_has "'a'"
    run ask -m "$TINY" --fields a --grammar bad.gbnf hi; wrong_usage; err_has "exclude one another"
}
