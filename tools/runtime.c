#include "runtime.h"

#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "command.h"
#include "interrupt.h"
#include "media.h"
#include "models_path.h"
#include "output.h"
#include "progress.h"

void runtime_init(cli_runtime *rt, const cli_options *o)
{
    *rt = (cli_runtime){.o = o};
}

void runtime_close(cli_runtime *rt)
{
    audit_clear(rt);
    free(rt->grammar);
    senses_reader_close(rt->reader);
    senses_text_close(rt->page_text);
    senses_encoder_close(rt->page_encoder);
    senses_whisper_close(rt->whisper);
    for (size_t i = 0; i < rt->n_encoders; i++) senses_encoder_close(rt->encoders[i]);
    senses_cache_close(rt->cache);
    senses_text_close(rt->text);
    senses_engine_close(rt->engine);
    free(rt->whisper_path);
    runtime_init(rt, rt->o);
}

int runtime_say(cli_runtime *rt, const senses_error *err)
{
    static const char of_grammar[] = "grammar: "; /* the library knows no file of it */
    const char *path = rt->o->grammar != NULL ? rt->o->grammar : rt->o->schema;
    rt->last = *err;
    if (path != NULL && strncmp(err->msg, of_grammar, sizeof of_grammar - 1) == 0)
        snprintf(rt->last.msg, sizeof rt->last.msg, "%s: %s", input_name(path), err->msg + sizeof of_grammar - 1);
    diag_error("%s", rt->last.msg);
    return EXIT_FAILED;
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

bool runtime_engine(cli_runtime *rt)
{
    if (rt->engine != NULL) return true;
    senses_error err = {0};
    const bool exact = rt->o->precision != NULL && strcmp(rt->o->precision, "f32") == 0;
    senses_engine_params p = {.threads = rt->o->threads,
                              .isa = rt->o->isa,
                              .n_callers = rt->o->parallel,
                              .precision = exact ? SENSES_PRECISION_F32 : SENSES_PRECISION_INT8};
    if (senses_engine_open(&rt->engine, &p, &err) != SN_OK) {
        runtime_say(rt, &err);
        return false;
    }
    diag_explain(rt->o, "engine: %zu thread%s, %s", senses_engine_threads(rt->engine), senses_engine_threads(rt->engine) == 1 ? "" : "s",
                 senses_engine_isa(rt->engine));
    return true;
}

static bool open_text(cli_runtime *rt, senses_text **text, const char *value, model_role role)
{
    if (*text != NULL) return true;
    senses_error err = {0};
    char *path = models_resolve(value, role);
    bool good = path != NULL && runtime_engine(rt);
    if (good && senses_text_open(text, rt->engine, path, &err) != SN_OK) {
        runtime_say(rt, &err);
        good = false;
    }
    if (good)
        diag_explain(rt->o, "%s: %s (width %zu, %zu tokens, context %zu)", role == MODEL_TEXT ? "text model" : "writer of pages", path,
                     senses_text_n_embd(*text), senses_text_n_vocab(*text), senses_text_n_ctx_train(*text));
    free(path);
    return good;
}

static bool adapt_text(cli_runtime *rt)
{
    senses_error err = {0};
    for (size_t i = 0; i < rt->o->n_lora; i++) {
        const cli_lora *l = &rt->o->lora[i];
        if (senses_text_adapt(rt->text, l->path, l->scale, &err) != SN_OK) {
            runtime_say(rt, &err);
            return false;
        }
        diag_explain(rt->o, "adapter: %s (scale %g)", l->path, (double)l->scale);
    }
    return true;
}

bool runtime_text(cli_runtime *rt)
{
    if (rt->text != NULL) return true;
    if (!open_text(rt, &rt->text, rt->o->model, MODEL_TEXT)) return false;
    if (adapt_text(rt)) return true;
    senses_text_close(rt->text); /* without them it is another model */
    rt->text = NULL;
    return false;
}

static bool open_encoder(cli_runtime *rt, senses_encoder **encoder, const char *value, model_role role)
{
    senses_error err = {0};
    char *path = models_resolve(value, role);
    bool good = path != NULL && runtime_engine(rt);
    if (good && senses_encoder_open(encoder, rt->engine, path, &err) != SN_OK) {
        runtime_say(rt, &err);
        good = false;
    }
    if (good)
        diag_explain(rt->o, "%s encoder: %s (%s, width %zu)", senses_encoder_kind(*encoder) == SENSES_IMAGE ? "image" : "audio", path,
                     senses_encoder_family(*encoder), senses_encoder_n_embd(*encoder));
    free(path);
    return good;
}

/* Where encoded media are kept; NULL when the environment does not say. What is not absolute does not count, as the XDG specification
 * says. */
static char *cache_folder(void)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg != NULL && xdg[0] == '/') return text_format("%s/senses/media", xdg);
    if (home != NULL && home[0] == '/') return text_format("%s/.cache/senses/media", home);
    return NULL;
}

/* Without a cache everything works, only slower: what is in its way is said under -v alone. */
static void set_cache(cli_runtime *rt, senses_encoder *c)
{
    senses_error err = {0};
    if (rt->o->no_cache) return;
    char *folder = rt->cache == NULL ? cache_folder() : NULL;
    if (rt->cache == NULL && folder == NULL)
        diag_explain(rt->o, "no cache: neither XDG_CACHE_HOME nor HOME names a folder");
    else if (rt->cache == NULL && senses_cache_open(&rt->cache, folder, rt->o->cache_mib << 20, &err) != SN_OK)
        diag_explain(rt->o, "no cache: %s", err.msg);
    else if (folder != NULL)
        diag_explain(rt->o, "cache: %s (at most %zu MiB)", folder, rt->o->cache_mib);
    if (rt->cache != NULL && senses_encoder_set_cache(c, rt->cache, &err) != SN_OK) diag_explain(rt->o, "no cache: %s", err.msg);
    free(folder);
}

static bool add_encoder(cli_runtime *rt, const char *value)
{
    senses_encoder *c = NULL;
    if (!open_encoder(rt, &c, value, MODEL_MMPROJ)) return false;
    if (runtime_encoder(rt, senses_encoder_kind(c)) != NULL) {
        diag_error("%s: a second %s encoder; one for images and one for audio can be given", senses_encoder_path(c),
                   senses_encoder_kind(c) == SENSES_IMAGE ? "image" : "audio");
        senses_encoder_close(c);
        return false;
    }
    rt->encoders[rt->n_encoders++] = c;
    set_cache(rt, c);
    return true;
}

bool runtime_encoders(cli_runtime *rt)
{
    if (rt->n_encoders > 0) return true;
    for (size_t i = 0; i < rt->o->n_mmproj; i++)
        if (!add_encoder(rt, rt->o->mmproj[i])) return false;
    return true;
}

bool runtime_pair(cli_runtime *rt)
{
    senses_error err = {0};
    if (!runtime_text(rt) || !runtime_encoders(rt)) return false;
    for (size_t i = 0; i < rt->n_encoders; i++) {
        if (senses_pair_check(rt->text, rt->encoders[i], &err) == SN_OK) continue;
        runtime_say(rt, &err);
        return false;
    }
    return true;
}

bool runtime_whisper(cli_runtime *rt)
{
    if (rt->whisper != NULL) return true;
    senses_error err = {0};
    char *path = models_resolve(rt->o->whisper, MODEL_WHISPER);
    bool good = path != NULL && runtime_engine(rt);
    if (good && senses_whisper_open(&rt->whisper, rt->engine, path, &err) != SN_OK) {
        runtime_say(rt, &err);
        good = false;
    }
    if (good) {
        diag_explain(rt->o, "speech model: %s (%s)", path, senses_whisper_multilingual(rt->whisper) ? "many languages" : "English only");
        free(rt->whisper_path);
        rt->whisper_path = path;
        path = NULL;
    }
    free(path);
    return good;
}

bool runtime_language(const cli_runtime *rt)
{
    const cli_options *o = rt->o;
    if (senses_whisper_multilingual(rt->whisper)) return true;
    bool other = o->language != NULL && strcmp(o->language, "auto") != 0 && strcmp(o->language, "en") != 0;
    if (!other && !o->translate) return true;
    if (other)
        diag_error("%s: knows English only; for '%s' take a model of many languages: --whisper base", rt->whisper_path, o->language);
    else
        diag_error("%s: knows English only; to translate take a model of many languages: --whisper base", rt->whisper_path);
    return false;
}

senses_encoder *runtime_encoder(const cli_runtime *rt, senses_medium_kind kind)
{
    for (size_t i = 0; i < rt->n_encoders; i++)
        if (senses_encoder_kind(rt->encoders[i]) == kind) return rt->encoders[i];
    return NULL;
}

bool runtime_eyes(cli_runtime *rt, const char *file)
{
    if (!runtime_encoders(rt)) return false;
    if (rt->n_encoders == 0 || runtime_encoder(rt, SENSES_IMAGE) != NULL) return true;
    snprintf(rt->last.msg, sizeof rt->last.msg, "no image encoder was given");
    diag_error("%s: seeing needs a vision model: bring the two GGUF files of one, such as LLaVA-1.5 or SmolVLM, and name its text model "
               "with -m and its image encoder with --mmproj",
               input_name(file));
    return false;
}

static bool open_page_pair(cli_runtime *rt)
{
    return (rt->page_encoder != NULL || open_encoder(rt, &rt->page_encoder, NULL, MODEL_PAGE_MMPROJ)) &&
           open_text(rt, &rt->page_text, NULL, MODEL_PAGE_TEXT);
}

senses_reader *runtime_reader(cli_runtime *rt)
{
    senses_error err = {0};
    senses_encoder *given = runtime_encoder(rt, SENSES_IMAGE);
    if (rt->reader != NULL) return rt->reader;
    if (given != NULL ? !runtime_text(rt) : !open_page_pair(rt)) return NULL;
    if (senses_reader_open(&rt->reader, given != NULL ? rt->text : rt->page_text, given != NULL ? given : rt->page_encoder, &err) != SN_OK)
        runtime_say(rt, &err);
    return rt->reader;
}

const char *runtime_reader_path(const cli_runtime *rt)
{
    if (rt->reader == NULL) return NULL;
    return senses_text_path(rt->page_text != NULL ? rt->page_text : rt->text);
}

senses_image_fit runtime_fit(const cli_options *o)
{
    if (o->image_fit == NULL) return SENSES_FIT_DEFAULT;
    return strcmp(o->image_fit, "pad") == 0 ? SENSES_FIT_PAD : strcmp(o->image_fit, "crop") == 0 ? SENSES_FIT_CROP : SENSES_FIT_STRETCH;
}

bool runtime_fit_fits(const cli_options *o, const char *command)
{
    if (o->image_fit == NULL || o->n_mmproj > 0) return true;
    diag_usage(command, "%s: --image-fit needs an image encoder (--mmproj): the page reader sees pictures in their own shape", command);
    return false;
}

bool runtime_go_on(cli_runtime *rt)
{
    if (rt->tick != NULL) rt->tick(rt->tick_user);
    if (rt->deadline_s > 0 && clock_s() > rt->deadline_s) rt->timed_out = true;
    return !rt->timed_out && !interrupt_seen();
}

bool runtime_go_on_hearing(cli_runtime *rt, double done_s, double total_s)
{
    double most_s = (double)rt->o->max_duration;
    if (most_s > 0 && (done_s > most_s || total_s > most_s)) rt->too_long = true;
    return !rt->too_long && runtime_go_on(rt);
}

void runtime_say_stopped(cli_runtime *rt, const char *path)
{
    senses_error err = {.code = SN_ECANCELLED};
    const char *name = input_name(path);
    if (rt->too_long)
        snprintf(err.msg, sizeof err.msg, "%s: more than %zu s of sound (--max-duration)", name, rt->o->max_duration);
    else if (rt->timed_out)
        snprintf(err.msg, sizeof err.msg, "%s: not done within %zu s (--timeout)", name, rt->o->timeout);
    else
        snprintf(err.msg, sizeof err.msg, "%s: reading it was stopped", name);
    runtime_say(rt, &err);
}

void runtime_note_partial(cli_runtime *rt, const char *path, const char *how_much)
{
    if (how_much[0] == '\0') return;
    rt->partial = true;
    diag_error("%s: warning: truncated: only %s can be read", input_name(path), how_much);
}

senses_image *runtime_image(cli_runtime *rt, const char *path)
{
    senses_error err = {0};
    senses_image *img = NULL;
    senses_image_params p = {.max_pixels = rt->o->max_pixels,
                             .no_sandbox = rt->o->no_sandbox,
                             .timeout_s = (double)rt->o->timeout,
                             .accept_truncated = rt->o->accept_truncated};
    if (senses_image_load(&img, path, &p, &err) != SN_OK) {
        runtime_say(rt, &err);
    } else if (!runtime_go_on(rt)) {
        runtime_say_stopped(rt, path);
        senses_image_close(img);
        img = NULL;
    } else if (!audit_image(rt, input_name(path), img)) {
        senses_image_close(img);
        img = NULL;
    } else {
        runtime_note_partial(rt, path, senses_image_partial(img));
    }
    return img;
}

bool runtime_grammar_once(const cli_options *o, const char *command)
{
    if ((o->grammar != NULL) + (o->schema != NULL) + (o->fields != NULL) <= 1) return true;
    diag_usage(command, "%s: --grammar, --json-schema and --fields exclude one another", command);
    return false;
}

bool runtime_grammar(cli_runtime *rt)
{
    const cli_options *o = rt->o;
    const char *path = o->grammar != NULL ? o->grammar : o->schema;
    senses_error err = {0};
    senses_status st = SN_OK;
    size_t n;
    if (rt->grammar != NULL || (path == NULL && o->fields == NULL)) return true;
    char *text = path != NULL ? media_read_text(path, &n) : NULL;
    if (path != NULL && text == NULL) return false;
    if (o->grammar != NULL) {
        rt->grammar = text;
        return true;
    }
    st = path != NULL ? senses_grammar_from_schema(text, &rt->grammar, &err) : senses_grammar_from_fields(o->fields, &rt->grammar, &err);
    free(text);
    if (st == SN_OK) return true;
    char *what = text_format("%s: %s", path != NULL ? path : "--fields", err.msg);
    snprintf(err.msg, sizeof err.msg, "%s", what);
    free(what);
    runtime_say(rt, &err);
    return false;
}

senses_session *runtime_session(cli_runtime *rt)
{
    senses_error err = {0};
    senses_session *s = NULL;
    if (!runtime_grammar(rt)) return NULL;
    senses_session_params p = rt->o->session;
    p.grammar = rt->grammar;
    p.fit = runtime_fit(rt->o);
    if (rt->o->draft != NULL && strcmp(rt->o->draft, "ngram") == 0) p.draft = SENSES_DRAFT_NGRAM;
    if (rt->o->kv_type != NULL && strcmp(rt->o->kv_type, "q8") == 0) p.kv_type = SENSES_KV_Q8;
    if (senses_session_open(&s, rt->text, rt->encoders, rt->n_encoders, &p, &err) == SN_OK) return s;
    runtime_say(rt, &err);
    return NULL;
}

bool runtime_stdin_once(const cli_options *o, const char *command)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n_media; i++) n += strcmp(o->media[i].path, "-") == 0;
    for (size_t i = 0; i < o->n_operands; i++) n += strcmp(o->operands[i], "-") == 0;
    if (n <= 1) return true;
    diag_usage(command, "%s: '-' (standard input) can be read only once", command);
    return false;
}
