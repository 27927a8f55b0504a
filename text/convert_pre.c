/* convert_pre.c: which of the pre-tokenizers that llama.cpp has a name for tokenizer.json describes.
 *
 * llama.cpp's converter hashes the ids of a sample text, which names a vocabulary more than its rules. Here the rules themselves are
 * looked at, so that vocabularies that were extended or cut are recognised too. */
#include "convert.h"

#include <string.h>

#define ENDING_3 "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define ENDING_1 "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define ENGLISH "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define CASED(ending, digits)                                                                                                              \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" ending                                     \
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" ending "|" digits                         \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct {
    const char *regex, *name;
} splits[] = {
    {ENGLISH ENDING_3, "llama-bpe"},
    {ENGLISH ENDING_1, "qwen2"},
    {CASED("", "\\p{N}"), "tekken"},
    {CASED("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "\\p{N}{1,3}"), "gpt-4o"},
};

typedef struct {
    const char *regex; /* of a Split */
    size_t n_splits;
    bool digits, words; /* each digit is a word; GPT-2's expression is applied */
    const char *other;  /* a step of a kind that is not known */
} steps;

static void look_at(steps *s, const cJSON *step)
{
    const char *type = sn_json_str(sn_json_get(step, "type"));
    if (type == NULL) {
        s->other = "(none)";
    } else if (strcmp(type, "Split") == 0) {
        s->regex = sn_json_str(sn_json_get(sn_json_get(step, "pattern"), "Regex"));
        s->n_splits++;
        if (s->regex == NULL) s->other = type;
    } else if (strcmp(type, "Digits") == 0) {
        s->digits = true;
        if (!cJSON_IsTrue(sn_json_get(step, "individual_digits"))) s->other = type;
    } else if (strcmp(type, "ByteLevel") == 0) {
        s->words = !cJSON_IsFalse(sn_json_get(step, "use_regex"));
    } else {
        s->other = type;
    }
}

static bool has_added(const cJSON *tokenizer, const char *text)
{
    const cJSON *t;
    cJSON_ArrayForEach(t, sn_json_get(tokenizer, "added_tokens"))
    {
        const char *content = sn_json_str(sn_json_get(t, "content"));
        if (content != NULL && strcmp(content, text) == 0) return true;
    }
    return false;
}

sn_status txt_convert_pre(const cJSON *tokenizer, const char *model_type, const char **name, sn_err *err)
{
    const cJSON *pre = sn_json_get(tokenizer, "pre_tokenizer"), *list = sn_json_get(pre, "pretokenizers"), *step;
    steps s = {0};
    if (list == NULL) {
        look_at(&s, pre);
    } else {
        cJSON_ArrayForEach(step, list)
        {
            look_at(&s, step);
        }
    }
    *name = NULL;
    for (size_t i = 0; i < sizeof splits / sizeof *splits && s.n_splits == 1 && !s.digits && !s.words; i++)
        if (s.regex != NULL && strcmp(splits[i].regex, s.regex) == 0) *name = splits[i].name;
    /* Granite's vocabulary is StarCoder's, which llama.cpp calls refact; SmolLM's has the same rules. */
    if (s.n_splits == 0 && s.digits && s.words)
        *name = strcmp(model_type, "granite") == 0 || has_added(tokenizer, "<fim_prefix>") ? "refact" : "smollm";
    if (s.n_splits == 0 && !s.digits && s.words) *name = "gpt-2";
    if (s.other == NULL && *name != NULL) return SN_OK;
    return sn_fail(err, SN_EUNSUPPORTED, "its pre-tokenizer is none that is known: %.120s",
                   s.other != NULL   ? s.other
                   : s.regex != NULL ? s.regex
                                     : "(no rule)");
}
