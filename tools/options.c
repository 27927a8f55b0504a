/* options.c: the table of options and the parser that reads it. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

static const char *const isa_names[] = {"scalar", "avx2", "avx512", "avx512-vnni", "amx", NULL};
static const char *const fit_names[] = {"pad", "crop", "stretch", NULL};
static const char *const style_names[] = {"plain", "sketchy", "modern", NULL};
static const char *const task_names[] = {"auto", "describe", "transcribe", "ask", NULL};
static const char *const draft_names[] = {"none", "ngram", NULL};
static const char *const kv_names[] = {"f16", "q8", NULL};
static const char *const precision_names[] = {"int8", "f32", NULL};
static const char *const type_names[] = {"auto", "f16", "bf16", "f32", NULL};
static const char *const format_names[] = {"txt", "srt", "vtt", "json", "csv", "lrc", NULL};

const char *const option_section_names[SECTION_COUNT] = {"Options", "Models", "Text", "Running"};

#define FIELD(f) .field = offsetof(cli_options, f)
#define COUNT_MAX 1e9
#define LORA_MAX 1e6 /* the library's limit of a scale */

/* clang-format off */
static const option table[] = {
    {SET_DESCRIBE, SECTION_COMMAND, 'p', "prompt", OPTION_TEXT, "TEXT", "what to ask about each image (default: \"Describe this image.\"; without a model to ask, the page in words)", FIELD(prompt)},
    {SET_BATCH, SECTION_COMMAND, 'o', "output", OPTION_FILE, "FILE", "append the records to FILE, and go on where it was left (default: standard output, from the beginning)", FIELD(output)},
    {SET_BATCH, SECTION_COMMAND, 0, "task", OPTION_CHOICE, "TASK", "auto (describe pictures, transcribe sound, both of videos), describe, transcribe or ask, which needs -p (default: auto)", FIELD(task), .choices = task_names},
    {SET_BATCH, SECTION_COMMAND, 'p', "prompt", OPTION_TEXT, "TEXT", "what to ask about each picture, and with --task ask about each recording", FIELD(prompt)},
    {SET_BATCH, SECTION_COMMAND, 0, "include", OPTION_INCLUDE, "GLOB", "only files whose name matches, or whose path where GLOB has a /; may be given many times", .field = 0},
    {SET_BATCH, SECTION_COMMAND, 0, "exclude", OPTION_EXCLUDE, "GLOB", "no files and folders that match; may be given many times", .field = 0},
    {SET_BATCH, SECTION_COMMAND, 0, "files-from", OPTION_FILE, "FILE", "files and folders from a list, one a line, '-' for standard input; after those that were given", FIELD(files_from)},
    {SET_BATCH, SECTION_COMMAND, '0', "null", OPTION_FLAG, NULL, "the list has NUL between names, as find -print0 writes it", FIELD(null_names)},
    {SET_BATCH, SECTION_COMMAND, 0, "sidecar", OPTION_MAYBE, "[=LIST]", "also write the result beside each file: txt, json, srt, xmp, with commas (default: txt of pictures, srt of sound)", FIELD(sidecar)},
    {SET_BATCH, SECTION_COMMAND, 0, "overwrite", OPTION_FLAG, NULL, "replace sidecar files that are there already", FIELD(overwrite)},
    {SET_BATCH, SECTION_COMMAND, 0, "csv", OPTION_FILE, "FILE", "at the end also write all records of -o as a table", FIELD(csv)},
    {SET_BATCH, SECTION_COMMAND, 0, "shard", OPTION_TEXT, "I/N", "only the I-th of N parts, by a hash of the path: for N machines", FIELD(shard)},
    {SET_BATCH, SECTION_COMMAND, 0, "join", OPTION_FILE, "FILE", "write the records of the files given into FILE, each once", FIELD(join)},
    {SET_BATCH, SECTION_COMMAND, 0, "retry-failed", OPTION_FLAG, NULL, "do files again that failed before", FIELD(retry_failed)},
    {SET_BATCH, SECTION_COMMAND, 0, "dry-run", OPTION_FLAG, NULL, "say what would be done, and estimate how long it takes", FIELD(dry_run)},
    {SET_MEDIA, SECTION_COMMAND, 0, "image", OPTION_MEDIUM, "FILE", "a picture; media reach the model in the order given", .medium = MEDIUM_IMAGE},
    {SET_MEDIA, SECTION_COMMAND, 0, "audio", OPTION_MEDIUM, "FILE", "a recording (or the sound of a video)", .medium = MEDIUM_AUDIO},
    {SET_MEDIA, SECTION_COMMAND, 0, "video", OPTION_MEDIUM, "FILE", "a video: its key frames, each with its time, then what is said in it", .medium = MEDIUM_VIDEO},
    {SET_MEDIA_TEXT, SECTION_COMMAND, 0, "text", OPTION_MEDIUM, "FILE", "a text file (UTF-8), taken as data", .medium = MEDIUM_TEXT},
    {SET_TRANSCRIBE, SECTION_COMMAND, 'f', "format", OPTION_CHOICE, "FORMAT", "txt, srt, vtt, json, csv or lrc (default: by the name of -o, else txt)", FIELD(format), .choices = format_names},
    {SET_TRANSCRIBE | SET_BATCH, SECTION_COMMAND, 'l', "language", OPTION_TEXT, "LANG", "language spoken, as en, de, fr; auto finds out (default: auto; a .en model hears English only)", FIELD(language)},
    {SET_TRANSCRIBE | SET_BATCH, SECTION_COMMAND, 0, "translate", OPTION_FLAG, NULL, "write English, whatever is spoken", FIELD(translate)},
    {SET_RAW, SECTION_COMMAND, 0, "raw", OPTION_FLAG, NULL, "no chat template: the prompt is used as it is, control tokens included", FIELD(session.raw)},
    {SET_ASK, SECTION_COMMAND, 0, "ids", OPTION_FLAG, NULL, "write the token ids of the answer as a JSON array", FIELD(ids)},
    {SET_TOKENIZE, SECTION_COMMAND, 0, "no-special", OPTION_FLAG, NULL, "the text is data: no control tokens are read in it or put around it", FIELD(no_special)},
    {SET_ENCODE, SECTION_COMMAND, 0, "mel", OPTION_FLAG, NULL, "write the log-mel that enters the encoder, [n_mel, frames], of one recording", FIELD(mel)},
    {SET_LOGITS, SECTION_COMMAND, 0, "all", OPTION_FLAG, NULL, "a row for every position, [tokens, n_vocab], not only the last", FIELD(all)},
    {SET_BENCH, SECTION_COMMAND, 'p', "n-prompt", OPTION_COUNT, "N", "tokens of the prompt test", FIELD(bench_prompt), .min = 1, .max = 1 << 20, .show_default = true},
    {SET_BENCH, SECTION_COMMAND, 'n', "n-gen", OPTION_COUNT, "N", "tokens of the generation and decode tests (default: 128)", FIELD(n_predict), .min = 1, .max = 1 << 20},
    {SET_BENCH, SECTION_COMMAND, 'r', "repeat", OPTION_COUNT, "N", "timed runs of each test, after one that is not counted; the median is shown", FIELD(bench_repeats), .min = 1, .max = 1000, .show_default = true},
    {SET_SKETCH, SECTION_COMMAND, 0, "style", OPTION_CHOICE, "STYLE", "plain, sketchy (as drawn by hand) or modern (default: plain)", FIELD(style), .choices = style_names},
    {SET_SKETCH, SECTION_COMMAND, 0, "title", OPTION_TEXT, "TEXT", "name of the document (default: the title on the drawing)", FIELD(title)},
    {SET_SKETCH, SECTION_COMMAND, 0, "open", OPTION_FLAG, NULL, "show the page in the browser; without -o it goes to a temporary file", FIELD(open)},
    {SET_QUANTIZE, SECTION_COMMAND, 0, "allow-requantize", OPTION_FLAG, NULL, "take weights that are quantised already: what they lost stays lost, and more goes", FIELD(allow_requantize)},
    {SET_CONVERT, SECTION_COMMAND, 0, "mmproj", OPTION_FILE, "FILE", "write the image or audio encoder with its projector to FILE, whole or not at all", FIELD(convert_mmproj)},
    {SET_CONVERT, SECTION_COMMAND, 0, "type", OPTION_CHOICE, "TYPE", "of matrices: auto (as the folder has them, f16 for f32), f16, bf16 or f32 (default: auto)", FIELD(convert_type), .choices = type_names},
    {SET_INFO, SECTION_COMMAND, 'c', "ctx-size", OPTION_COUNT, "N", "tokens of the context that the memory of a text model is told for (default: the model's own, 4096 at most)", FIELD(session.n_ctx), .min = 1, .max = COUNT_MAX},
    {SET_PERPLEXITY, SECTION_COMMAND, 'c', "ctx-size", OPTION_COUNT, "N", "tokens of a window (default: 512)", FIELD(session.n_ctx), .min = 4, .max = COUNT_MAX},
    {SET_OUTPUT, SECTION_COMMAND, 'o', "output", OPTION_FILE, "FILE", "write to FILE, whole or not at all", FIELD(output)},
    {SET_JSON, SECTION_COMMAND, 0, "json", OPTION_FLAG, NULL, "one JSON object a result, each on one line", FIELD(json)},

    {SET_TEXT, SECTION_MODEL, 'm', "model", OPTION_FILE, "FILE|NAME", "text decoder (GGUF) (default: smollm2-135m-instruct)", FIELD(model)},
    {SET_MMPROJ, SECTION_MODEL, 0, "mmproj", OPTION_MMPROJ, "FILE|NAME", "image or audio encoder with its adapter (GGUF); may be given once for each", FIELD(mmproj)},
    {SET_SKETCH, SECTION_MODEL, 'm', "model", OPTION_FILE, "FILE|NAME", "text decoder (GGUF), together with --mmproj (default: the reader of drawn pages)", FIELD(model)},
    {SET_SKETCH, SECTION_MODEL, 0, "mmproj", OPTION_MMPROJ, "FILE|NAME", "image encoder with its adapter (GGUF), together with -m", FIELD(mmproj)},
    {SET_LORA, SECTION_MODEL, 0, "lora", OPTION_LORA, "FILE[:SCALE]", "LoRA adapter (GGUF) for the text decoder, SCALE times as strong as it was trained (default: 1); may be given many times: all add up", FIELD(lora)},
    {SET_WHISPER, SECTION_MODEL, 0, "whisper", OPTION_FILE, "FILE|NAME", "Whisper model (ggml-*.bin or GGUF) (default: whisper-tiny.en, else whisper-base)", FIELD(whisper)},

    {SET_SAMPLING, SECTION_ANSWER, 'n', "predict", OPTION_COUNT, "N", "most tokens of an answer; 0: until it ends (default: 512)", FIELD(n_predict), .min = 0, .max = COUNT_MAX},
    {SET_SAMPLING, SECTION_ANSWER, 0, "temp", OPTION_REAL, "T", "temperature; 0 always takes the likeliest token", FIELD(session.temperature), .min = 0, .max = 100, .show_default = true},
    {SET_TRANSCRIBE, SECTION_ANSWER, 0, "temp", OPTION_REAL, "T", "temperature of the first try; passages that come out badly are tried again higher", FIELD(first_temperature), .min = 0, .max = 1, .show_default = true},
    {SET_SAMPLING, SECTION_ANSWER, 0, "top-k", OPTION_COUNT, "K", "choose among the K likeliest tokens; 0: all", FIELD(session.top_k), .min = 0, .max = COUNT_MAX, .show_default = true},
    {SET_SAMPLING, SECTION_ANSWER, 0, "top-p", OPTION_REAL, "P", "choose among the likeliest tokens that make up P; 1: all", FIELD(session.top_p), .min = 0, .max = 1, .show_default = true},
    {SET_SAMPLING, SECTION_ANSWER, 0, "min-p", OPTION_REAL, "P", "drop tokens less likely than P times the likeliest; 0: none", FIELD(session.min_p), .min = 0, .max = 1, .show_default = true},
    {SET_SAMPLING, SECTION_ANSWER, 0, "repeat-penalty", OPTION_REAL, "X", "make tokens seen lately X times less likely; 1: off (default: 1.1, but 1 with --temp or --raw)", FIELD(session.repeat_penalty), .min = 0.01, .max = 100},
    {SET_SAMPLING | SET_TRANSCRIBE, SECTION_ANSWER, 0, "seed", OPTION_SEED, "N", "of the random choices: the same seed gives the same text", FIELD(session.seed), .min = 0, .max = 18446744073709551615.0, .show_default = true},
    {SET_SAMPLING, SECTION_ANSWER, 0, "draft", OPTION_CHOICE, "HOW", "none, or ngram: try what followed the same words before, several tokens at once; the same text, sooner where it repeats (default: none)", FIELD(draft), .choices = draft_names},
    {SET_GRAMMAR, SECTION_ANSWER, 0, "grammar", OPTION_FILE, "FILE", "answers are texts of this grammar (GBNF), whole ones", FIELD(grammar)},
    {SET_GRAMMAR, SECTION_ANSWER, 0, "json-schema", OPTION_FILE, "FILE", "answers are JSON that fits this schema", FIELD(schema)},
    {SET_GRAMMAR, SECTION_ANSWER, 0, "fields", OPTION_TEXT, "TEXT", "answers are JSON objects with these fields, as \"title, people:int, kind:a|b, tags[], note?\"", FIELD(fields)},
    {SET_PROMPT, SECTION_ANSWER, 0, "system", OPTION_TEXT, "TEXT", "system message (default: the one of the model's chat template)", FIELD(session.system)},
    {SET_PROMPT, SECTION_ANSWER, 0, "chat-template", OPTION_TEXT, "NAME", "a known chat template to use (default: the model's own)", FIELD(session.chat_template)},
    {SET_PROMPT, SECTION_ANSWER, 'c', "ctx-size", OPTION_COUNT, "N", "context in tokens; 0: what is needed, up to the model's own", FIELD(session.n_ctx), .min = 0, .max = COUNT_MAX, .show_default = true},
    {SET_PROMPT, SECTION_ANSWER, 0, "kv-type", OPTION_CHOICE, "TYPE", "keep the context as f16, or as q8 in about half the memory (default: f16)", FIELD(kv_type), .choices = kv_names},

    {SET_IMAGE, SECTION_RUN, 0, "image-fit", OPTION_CHOICE, "HOW", "pad, crop or stretch pictures to the encoder's shape (default: as the model was trained)", FIELD(image_fit), .choices = fit_names},
    {SET_IMAGE | SET_SKETCH, SECTION_RUN, 0, "max-pixels", OPTION_COUNT, "N", "refuse pictures with more pixels (default: 100000000)", FIELD(max_pixels), .min = 1, .max = 4e9},
    {SET_BATCH, SECTION_RUN, 0, "parallel", OPTION_COUNT, "N", "work on N files at once: sooner done, with the same texts, and N times the memory of a context", FIELD(parallel), .min = 1, .max = 16, .show_default = true},
    {SET_BATCH, SECTION_RUN, 0, "max-duration", OPTION_COUNT, "SECONDS", "refuse longer sounds", FIELD(max_duration), .min = 1, .max = COUNT_MAX},
    {SET_BATCH, SECTION_RUN, 0, "timeout", OPTION_COUNT, "SECONDS", "give a file up after so long", FIELD(timeout), .min = 1, .max = COUNT_MAX},
    {SET_IMAGE | SET_MEDIA | SET_SKETCH | SET_TRANSCRIBE | SET_BATCH, SECTION_RUN, 0, "no-sandbox", OPTION_FLAG, NULL, "decode media in this process: only for files that are trusted, for a bad one may take it over", FIELD(no_sandbox)},
    {SET_IMAGE | SET_MEDIA | SET_SKETCH | SET_TRANSCRIBE | SET_BATCH, SECTION_RUN, 0, "accept-truncated", OPTION_FLAG, NULL, "take what is there of a truncated picture, sound or video, and warn of it; results are marked \"partial\" (otherwise it is refused)", FIELD(accept_truncated)},
    {SET_AUDIT, SECTION_RUN, 0, "audit", OPTION_FLAG, NULL, "look for faint text in pictures, which a person does not see and a model may read, and warn of it", FIELD(audit)},
    {SET_MEDIA | SET_DESCRIBE | SET_BATCH, SECTION_RUN, 0, "max-frames", OPTION_COUNT, "N", "key frames of a video at most: the first of each scene, and more of long ones", FIELD(max_frames), .min = 1, .max = 1024, .show_default = true},
    {SET_CACHE, SECTION_RUN, 0, "no-cache", OPTION_FLAG, NULL, "encode every picture and sound anew, and keep nothing of it", FIELD(no_cache)},
    {SET_CACHE, SECTION_RUN, 0, "cache-size", OPTION_COUNT, "MIB", "keep so much of what --mmproj encodes in $XDG_CACHE_HOME/senses/media; what was not used longest goes (default: 1024, or $SENSES_CACHE_SIZE)", FIELD(cache_mib), .min = 1, .max = COUNT_MAX},
    {SET_PRECISION, SECTION_RUN, 0, "precision", OPTION_CHOICE, "HOW", "how closely products are taken: int8, quantised weights of a text model by 8 bits and float weights by 16, or f32, closer and slower (default: int8; Q8_0 is taken as with f32 by a CPU without VNNI)", FIELD(precision), .choices = precision_names},
    {SET_ENGINE, SECTION_RUN, 't', "threads", OPTION_COUNT, "N", "threads (default: one per physical core)", FIELD(threads), .min = 1, .max = 1024},
    {SET_ENGINE, SECTION_RUN, 0, "isa", OPTION_CHOICE, "NAME", "instruction set: scalar, avx2, avx512, avx512-vnni or amx (default: the best there is, or $SENSES_ISA)", FIELD(isa), .choices = isa_names},
    {SET_COMMON, SECTION_RUN, 'q', "quiet", OPTION_FLAG, NULL, "say nothing but results and errors", FIELD(quiet)},
    {SET_COMMON, SECTION_RUN, 'v', "verbose", OPTION_FLAG, NULL, "explain: models, threads, what media became, timings", FIELD(verbose)},
    {SET_COMMON, SECTION_RUN, 'h', "help", OPTION_FLAG, NULL, "show this help", FIELD(help)},
};
/* clang-format on */

_Static_assert(sizeof table / sizeof table[0] <= 128, "cli_options.given has a bit for every row");

const option *option_table(size_t *n)
{
    *n = sizeof table / sizeof table[0];
    return table;
}

void options_init(cli_options *o)
{
    *o = (cli_options){.n_predict = CLI_UNSET, .bench_prompt = 512, .bench_repeats = 3, .cache_mib = 1024, .max_frames = 8, .parallel = 1};
    senses_session_defaults(&o->session);
}

void options_free(cli_options *o)
{
    free(o->media);
    for (size_t i = 0; i < o->n_lora; i++) free(o->lora[i].path);
    free(o->lora);
    o->lora = NULL;
    o->n_lora = 0;
    free(o->globs);
    o->globs = NULL;
    free(o->operands);
    o->media = NULL;
    o->operands = NULL;
}

/* ---- values ---- */

static bool parse_number(const option *row, const char *value, void *field, char **problem)
{
    char *end = NULL;
    errno = 0;
    if (row->kind == OPTION_REAL) {
        double x = strtod(value, &end);
        bool whole = end != value && *end == '\0' && strchr("+-.0123456789", value[0]) != NULL && isfinite(x);
        if (!whole || x < row->min || x > row->max) {
            *problem = text_format("--%s: '%s' is not a number from %g to %g", row->name, value, row->min, row->max);
            return false;
        }
        *(float *)field = (float)x;
        return true;
    }
    unsigned long long x = value[0] >= '0' && value[0] <= '9' ? strtoull(value, &end, 10) : 0;
    bool whole = end != NULL && *end == '\0' && errno == 0;
    if (!whole || (double)x < row->min || (double)x > row->max) {
        *problem = text_format("--%s: '%s' is not a whole number from %.0f to %.0f", row->name, value, row->min, row->max);
        return false;
    }
    if (row->kind == OPTION_SEED)
        *(uint64_t *)field = x;
    else
        *(size_t *)field = (size_t)x;
    return true;
}

static bool parse_choice(const option *row, const char *value, void *field, char **problem)
{
    for (size_t i = 0; row->choices[i] != NULL; i++) {
        if (strcmp(value, row->choices[i]) != 0) continue;
        *(const char **)field = row->choices[i];
        return true;
    }
    char *all = text_format("%s", row->choices[0]);
    for (size_t i = 1; row->choices[i] != NULL; i++) {
        char *longer = text_format("%s%s%s", all, row->choices[i + 1] == NULL ? " or " : ", ", row->choices[i]);
        free(all);
        all = longer;
    }
    *problem = text_format("--%s: '%s' is not %s", row->name, value, all);
    free(all);
    return false;
}

static bool add_mmproj(cli_options *o, const char *value, char **problem)
{
    if (o->n_mmproj == CLI_MAX_MMPROJ) {
        *problem = text_format("--mmproj: one for images and one for audio at most");
        return false;
    }
    o->mmproj[o->n_mmproj++] = value;
    return true;
}

/* "FILE" or "FILE:SCALE": what stands behind the last colon is a scale where it is a number. */
static bool add_lora(cli_options *o, const option *row, const char *value, char **problem)
{
    const char *colon = strrchr(value, ':');
    size_t n = strlen(value);
    float scale = 1;
    if (colon != NULL && colon[1] != '\0' && strchr("+-.0123456789", colon[1]) != NULL &&
        colon[1 + strspn(colon + 1, "+-.0123456789eE")] == '\0') {
        const option number = {.kind = OPTION_REAL, .name = row->name, .min = -LORA_MAX, .max = LORA_MAX};
        if (!parse_number(&number, colon + 1, &scale, problem)) return false;
        n = (size_t)(colon - value);
    }
    if (n == 0) {
        *problem = text_format("--%s: the file name is empty", row->name);
        return false;
    }
    o->lora[o->n_lora++] = (cli_lora){.path = text_format("%.*s", (int)n, value), .scale = scale};
    return true;
}

static bool set_value(cli_options *o, const option *row, const char *value, char **problem)
{
    void *field = (char *)o + row->field;
    size_t bit = (size_t)(row - table);
    o->given[bit / 64] |= UINT64_C(1) << bit % 64;
    switch (row->kind) {
    case OPTION_FLAG: *(bool *)field = true; return true;
    case OPTION_TEXT:
    case OPTION_MAYBE: *(const char **)field = value; return true;
    case OPTION_INCLUDE:
    case OPTION_EXCLUDE: o->globs[o->n_globs++] = (cli_glob){row->kind == OPTION_EXCLUDE, value}; return true;
    case OPTION_CHOICE: return parse_choice(row, value, field, problem);
    case OPTION_COUNT:
    case OPTION_SEED:
    case OPTION_REAL: return parse_number(row, value, field, problem);
    case OPTION_FILE:
    case OPTION_LORA:
    case OPTION_MMPROJ:
    case OPTION_MEDIUM: break;
    }
    if (value[0] == '\0') {
        *problem = text_format("--%s: the file name is empty", row->name);
        return false;
    }
    if (row->kind == OPTION_LORA) return add_lora(o, row, value, problem);
    if (row->kind == OPTION_MMPROJ) return add_mmproj(o, value, problem);
    if (row->kind == OPTION_MEDIUM)
        o->media[o->n_media++] = (cli_medium){row->medium, value};
    else
        *(const char **)field = value;
    return true;
}

/* ---- words of the command line ---- */

static const option *find_long(uint32_t sets, const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if ((table[i].sets & sets) != 0 && strlen(table[i].name) == n && memcmp(table[i].name, name, n) == 0) return &table[i];
    return NULL;
}

static const option *find_letter(uint32_t sets, char letter)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if ((table[i].sets & sets) != 0 && table[i].letter == letter && letter != 0) return &table[i];
    return NULL;
}

static char *unknown_long(uint32_t sets, const char *name, size_t n)
{
    const char *known[sizeof table / sizeof table[0] + 1];
    size_t n_known = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if ((table[i].sets & sets) != 0) known[n_known++] = table[i].name;
    known[n_known] = NULL;
    char *word = text_format("%.*s", (int)n, name);
    const char *near = options_nearest(word, known);
    char *problem =
        near != NULL ? text_format("unknown option '--%s'; did you mean --%s?", word, near) : text_format("unknown option '--%s'", word);
    free(word);
    return problem;
}

/* One "--name", "--name=value" or "--name" "value"; *i moves on over a value of its own word. */
static bool parse_long(cli_options *o, uint32_t sets, int argc, char **argv, int *i, char **problem)
{
    const char *name = argv[*i] + 2;
    const char *equals = strchr(name, '=');
    size_t n = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const option *row = find_long(sets, name, n);
    if (row == NULL) {
        *problem = unknown_long(sets, name, n);
        return false;
    }
    if (row->kind == OPTION_FLAG && equals != NULL) {
        *problem = text_format("--%s takes no value", row->name);
        return false;
    }
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (row->kind == OPTION_MAYBE && value == NULL) value = "";
    if (row->kind != OPTION_FLAG && value == NULL) {
        if (*i + 1 >= argc) {
            *problem = text_format("--%s needs a value: --%s %s", row->name, row->name, row->arg);
            return false;
        }
        value = argv[++*i];
    }
    return set_value(o, row, value, problem);
}

/* A word of letters, "-q", "-qv", "-n32", "-qn" "32". */
static bool parse_letters(cli_options *o, uint32_t sets, int argc, char **argv, int *i, char **problem)
{
    for (const char *p = argv[*i] + 1; *p != '\0' && !o->help; p++) {
        const option *row = find_letter(sets, *p);
        if (row == NULL) {
            *problem = text_format("unknown option '-%c'", *p);
            return false;
        }
        if (row->kind == OPTION_FLAG) {
            if (!set_value(o, row, NULL, problem)) return false;
            continue;
        }
        if (p[1] == '\0' && *i + 1 >= argc) {
            *problem = text_format("-%c needs a value: -%c %s", *p, *p, row->arg);
            return false;
        }
        return set_value(o, row, p[1] != '\0' ? p + 1 : argv[++*i], problem);
    }
    return true;
}

bool options_parse(cli_options *o, uint32_t sets, int argc, char **argv, char **problem)
{
    bool open = true; /* until "--" */
    o->media = must(calloc((size_t)argc + 1, sizeof *o->media));
    o->lora = must(calloc((size_t)argc + 1, sizeof *o->lora));
    o->globs = must(calloc((size_t)argc + 1, sizeof *o->globs));
    o->operands = must(calloc((size_t)argc + 1, sizeof *o->operands));
    for (int i = 0; i < argc && !o->help; i++) {
        const char *word = argv[i];
        bool good = true;
        if (!open || word[0] != '-' || word[1] == '\0')
            o->operands[o->n_operands++] = argv[i];
        else if (strcmp(word, "--") == 0)
            open = false;
        else if (word[1] == '-')
            good = parse_long(o, sets, argc, argv, &i, problem);
        else
            good = parse_letters(o, sets, argc, argv, &i, problem);
        if (!good) return false;
    }
    return true;
}

bool options_default(cli_options *o, const char *name, const char *value, char **problem)
{
    const option *row = find_long(~0u, name, strlen(name));
    return options_given(o, name) || set_value(o, row, value, problem);
}

bool options_given(const cli_options *o, const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if ((o->given[i / 64] >> i % 64 & 1) != 0 && strcmp(table[i].name, name) == 0) return true;
    return false;
}

/* ---- "did you mean" ---- */

/* Edit distance of two short words; letters that changed places count as one. */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 24 };
    size_t na = strlen(a), nb = strlen(b), d[LONGEST + 1][LONGEST + 1];
    if (na > LONGEST || nb > LONGEST) return LONGEST;
    for (size_t i = 0; i <= na; i++) d[i][0] = i;
    for (size_t j = 0; j <= nb; j++) d[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        for (size_t j = 1; j <= nb; j++) {
            size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < best) best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[na][nb];
}

const char *options_nearest(const char *word, const char *const *list)
{
    const char *best = NULL;
    size_t least = strlen(word) > 5 ? 3 : 2; /* not reached: at most two, or one, edits */
    for (size_t i = 0; list[i] != NULL; i++) {
        size_t d = distance(word, list[i]);
        if (d >= least) continue;
        least = d;
        best = list[i];
    }
    return best;
}
