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
    printf 'root ::= "a"\nx ::= [b\n' >bad.gbnf; printf '{"type": "string", "pattern": "a(?=b)"}' >bad.json; printf '{' >no.json
    run ask -m "$TINY" --grammar bad.gbnf hi; failed_with_one_line; err_has "senses: bad.gbnf: line 2"
    printf 'root ::= ("a"{1000}){1000}' >deep.gbnf; run ask -m "$TINY" --grammar deep.gbnf hi; failed_with_one_line; err_has "deep.gbnf: too ambiguous"
    run ask -m "$TINY" --json-schema bad.json hi; failed_with_one_line; err_has 'bad.json: "pattern"'
    for word in '"not": {}' '"uniqueItems": true' '"$ref": "other.json"' '"oneOf": [{"type": "integer"}, {"type": "number"}]' '"patternProperties": {}'; do
        printf '{%s}' "$word" >bad.json
        run ask -m "$TINY" --json-schema bad.json hi; failed_with_one_line; err_has "bad.json: ${word%%:*}"
    done
    run ask -m "$TINY" --json-schema no.json hi; failed_with_one_line; err_has "no.json: not JSON"
    run ask -m "$TINY" --json-schema none.json hi; failed_with_one_line; err_has "none.json"
    run ask -m "$TINY" --fields "a:what" hi; failed_with_one_line; err_has "'a'"
    run ask -m "$TINY" --fields a --grammar bad.gbnf hi; wrong_usage; err_has "exclude one another"
}
claim_a_pattern_and_bounds_are_held() {
    needs "$TINY"
    printf '{"type": "object", "properties": {"code": {"type": "string", "pattern": "^[A-C]{2}-[0-9]{2}$"}, "n": {"type": "integer", "minimum": 17, "maximum": 312}}, "required": ["code", "n"]}' >s.json
    for seed in 1 2 3 4; do
        run ask -q -m "$TINY" --temp 1 --seed $seed --json-schema s.json hi; is 0; err_empty; json_lines out code n
        grep -qE '"code": ?"[A-C]{2}-[0-9]{2}"' out || wrong "another code"
        n=$(sed 's/.*"n": *\([0-9]*\).*/\1/' out); [ "$n" -ge 17 ] && [ "$n" -le 312 ] || wrong "n is $n"
    done
}
