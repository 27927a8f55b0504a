/* jinja.c: a chat template's program, opened and rendered: what it is given, and what is made of what it prints. */
#include "jinja.h"

#include "../core/mem.h"

#include <string.h>

#define MAX_PROGRAM ((size_t)1 << 20)
#define MAX_BYTES ((size_t)64 << 20)
#define MAX_STEPS ((size_t)8 << 20)

struct txt_jinja {
    char *program; /* line breaks are \n, and the last is gone, as Jinja has it */
    size_t n;
};

static void begin(jx *x, size_t n_text, sn_err *err)
{
    memset(x, 0, sizeof *x);
    x->line = 1;
    x->err = err;
    x->max_bytes = n_text < SIZE_MAX / 128 ? MAX_BYTES + 64 * n_text : MAX_BYTES;
    x->max_steps = n_text < SIZE_MAX / 128 ? MAX_STEPS + 16 * n_text : MAX_STEPS;
}

sn_status txt_jinja_open(txt_jinja **out, const char *program, size_t n, sn_err *err)
{
    jx x;
    if (n > MAX_PROGRAM) return sn_fail(err, SN_ELIMIT, "chat template: %zu bytes, at most %zu are read", n, MAX_PROGRAM);
    txt_jinja *j = sn_calloc(1, sizeof *j);
    if (j != NULL) j->program = sn_calloc(n + 1, 1);
    if (j == NULL || j->program == NULL) {
        txt_jinja_close(j);
        return sn_fail(err, SN_ENOMEM, "chat template: out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        if (program[i] == '\r' && i + 1 < n && program[i + 1] == '\n') continue;
        j->program[j->n++] = program[i] == '\r' ? '\n' : program[i];
    }
    if (j->n > 0 && j->program[j->n - 1] == '\n') j->n--;
    begin(&x, n, err);
    jx_parse(&x, (js){j->program, NULL, j->n});
    jx_free(&x);
    if (x.status != SN_OK) {
        txt_jinja_close(j);
        return x.status;
    }
    *out = j;
    return SN_OK;
}

void txt_jinja_close(txt_jinja *j)
{
    if (j == NULL) return;
    sn_free(j->program);
    sn_free(j);
}

/* ---- what the program is given ---- */
static js data(jx *x, const char *p, size_t n)
{
    uint8_t *ones = jx_alloc(x, n + 1, 1);
    if (ones == NULL || n == 0) return js_z("");
    memset(ones, 1, n);
    return (js){p, ones, n};
}

static jv typed(jx *x, const char *type, js text)
{
    jv d = jv_dict(x);
    if (d.kind != JV_DICT) return d;
    jdict_set(x, d.d, jv_z("type"), jv_z(type));
    if (strcmp(type, "text") == 0) jdict_set(x, d.d, jv_z("text"), jv_str(text));
    return d;
}

/* A message's text as typed parts, cut at the marks, which stand for media of one type. */
static jv listed(jx *x, js text, const char *medium)
{
    jv l = jv_list(x, false);
    for (size_t from = 0; from < text.n && x->status == SN_OK;) {
        const char *p = memchr(text.p + from, (unsigned char)TXT_MEDIA_MARK, text.n - from);
        size_t to = p ? (size_t)(p - text.p) : text.n;
        if (to > from) jlist_add(x, l.l, typed(x, "text", js_cut(text, from, to)));
        if (p) jlist_add(x, l.l, typed(x, medium, text));
        from = to + (p != NULL);
    }
    if (l.kind == JV_LIST && l.l->n == 0) jlist_add(x, l.l, typed(x, "text", text));
    return l;
}

static void globals(jx *x, jdict *vars, const txt_message *m, size_t n, bool open, const txt_jinja_setting *with, const char *lists)
{
    static const char *const roles[] = {[TXT_SYSTEM] = "system", [TXT_USER] = "user", [TXT_ASSISTANT] = "assistant"};
    jv messages = jv_list(x, false), none = {.kind = JV_NONE};
    for (size_t i = 0; i < n && x->status == SN_OK; i++) {
        js text = data(x, m[i].text, m[i].n);
        jv d = jv_dict(x);
        if (d.kind != JV_DICT) break;
        jdict_set(x, d.d, jv_z("role"), jv_z(roles[m[i].role]));
        jdict_set(x, d.d, jv_z("content"), lists ? listed(x, text, lists) : jv_str(text));
        jlist_add(x, messages.l, d);
    }
    jdict_set(x, vars, jv_z("messages"), messages);
    jdict_set(x, vars, jv_z("tools"), none);
    jdict_set(x, vars, jv_z("documents"), none);
    jdict_set(x, vars, jv_z("add_generation_prompt"), jv_bool(open));
    jdict_set(x, vars, jv_z("bos_token"), jv_z(with->bos ? with->bos : ""));
    jdict_set(x, vars, jv_z("eos_token"), jv_z(with->eos ? with->eos : ""));
}

/* ---- what is made of its output ---- */
static sn_status emit(txt_parts *out, const char *p, size_t n, bool framing, sn_err *err)
{
    void *grown = out->parts;
    if (n == 0) return SN_OK;
    sn_status s = sn_grow(&grown, &out->cap, out->n + 1, sizeof *out->parts, err);
    out->parts = grown;
    if (s != SN_OK) return s;
    char *text = sn_alloc(n, 1);
    if (text == NULL) return sn_fail(err, SN_ENOMEM, "chat template: out of memory");
    memcpy(text, p, n);
    out->parts[out->n++] = (txt_part){text, n, framing};
    return SN_OK;
}

/* How programs write a picture or a sound: the first that stands there, which the template wrote. */
static size_t placeholder(const jbuf *b, size_t at)
{
    static const char *const spelled[] = {"<|vision_start|><|image_pad|><|vision_end|>", /* as the encoder's family writes it, too */
                                          "<|audio_bos|><|AUDIO|><|audio_eos|>",
                                          "<image>",
                                          "<|image|>",
                                          "<|image_pad|>",
                                          "<start_of_image>",
                                          "<image_soft_token>",
                                          "[IMG]",
                                          "<im_patch>",
                                          "<|media_pad|>",
                                          "<image_placeholder>",
                                          "<|image_1|>",
                                          "<|kimi_image_placeholder|>",
                                          "<|image_soft_token|>",
                                          "]<]image[>[",
                                          "<IMG_CONTEXT>",
                                          "<|AUDIO|>",
                                          "[AUDIO]",
                                          "<|audio|>"};
    for (size_t i = 0; i < sizeof spelled / sizeof spelled[0]; i++) {
        size_t n = strlen(spelled[i]);
        if (b->n - at < n || memcmp(b->p + at, spelled[i], n) != 0 || memchr(b->data + at, 1, n) != NULL) continue;
        return n;
    }
    return 0;
}

static size_t count_marks(const txt_message *m, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < m[i].n; c++) k += m[i].text[c] == TXT_MEDIA_MARK;
    return k;
}

/* Puts the mark, as data, in the place of each placeholder. Returns how many marks there are then. */
static size_t put_marks(jbuf *b)
{
    size_t n = 0, to = 0;
    for (size_t i = 0, k; i < b->n; to++) {
        k = b->data[i] ? 0 : placeholder(b, i);
        b->p[to] = k > 0 ? TXT_MEDIA_MARK : b->p[i];
        b->data[to] = k > 0 ? 1 : b->data[i];
        n += b->data[to] && b->p[to] == TXT_MEDIA_MARK;
        i += k > 0 ? k : 1;
    }
    b->n = to;
    return n;
}

static sn_status split(const jbuf *b, const char *bos, txt_parts *out, sn_err *err)
{
    size_t from = bos ? strlen(bos) : 0;
    sn_status s = SN_OK;
    if (from > b->n || (from > 0 && (memcmp(b->p, bos, from) != 0 || memchr(b->data, 1, from) != NULL))) from = 0;
    for (size_t to; s == SN_OK && from < b->n; from = to) {
        for (to = from + 1; to < b->n && b->data[to] == b->data[from];) to++;
        s = emit(out, b->p + from, to - from, !b->data[from], err);
    }
    return s;
}

/* One rendering into *b, which lives in x. lists: contents are lists, of text and of media of this type; NULL: they are strings. */
static sn_status render(const txt_jinja *j, jx *x, jbuf *b, const txt_message *m, size_t n, bool open, const txt_jinja_setting *with,
                        const char *lists, sn_err *err)
{
    size_t n_text = j->n;
    for (size_t i = 0; i < n; i++) n_text += m[i].n < SIZE_MAX / 256 - n_text ? m[i].n : 0;
    begin(x, n_text, err);
    jscope top = {0}, own = {.up = &top};
    x->today = with->today;
    x->scope = &own;
    x->out = b;
    const jnode *program = jx_parse(x, (js){j->program, NULL, j->n});
    globals(x, &top.vars, m, n, open, with, lists);
    if (x->status == SN_OK) jx_run(x, program);
    x->scope = NULL;
    return x->status;
}

static bool shows_data(const jbuf *b)
{
    return b->n > 0 && memchr(b->data, 1, b->n) != NULL;
}

/* Does the program show what a message says, given as a string? */
static bool shows_strings(const txt_jinja *j, const txt_jinja_setting *with)
{
    static const txt_message probe[] = {{TXT_USER, "x", 1}};
    jx x = {0};
    jbuf b = {0};
    bool shows = render(j, &x, &b, probe, 1, true, with, NULL, NULL) == SN_OK && shows_data(&b);
    jx_free(&x);
    return shows;
}

/* With contents as lists. With media, as many must come out as went in. */
static sn_status render_lists(const txt_jinja *j, const txt_message *m, size_t n, bool open, const txt_jinja_setting *with,
                              const char *medium, txt_parts *p, sn_err *err)
{
    size_t n_marks = count_marks(m, n);
    jx x = {0};
    jbuf b = {0};
    sn_status s = render(j, &x, &b, m, n, open, with, medium, err);
    if (s == SN_OK && n_marks > 0 && put_marks(&b) != n_marks)
        s = sn_fail(err, SN_EFORMAT, "chat template: it does not show each medium once, by a placeholder that is known here");
    if (s == SN_OK) s = split(&b, with->keeps_bos ? NULL : with->bos, p, err);
    jx_free(&x);
    return s;
}

static sn_status render_strings(const txt_jinja *j, const txt_message *m, size_t n, bool open, const txt_jinja_setting *with, txt_parts *p,
                                sn_err *err)
{
    jx x = {0};
    jbuf b = {0};
    sn_status s = render(j, &x, &b, m, n, open, with, NULL, err);
    if (s == SN_OK && !shows_data(&b) && n > 0 && !shows_strings(j, with))
        s = sn_fail(err, SN_EFORMAT, "chat template: it shows nothing of the messages");
    if (s == SN_OK) s = split(&b, with->keeps_bos ? NULL : with->bos, p, err);
    jx_free(&x);
    return s;
}

sn_status txt_jinja_render(const txt_jinja *j, const txt_message *messages, size_t n, bool open_answer, const txt_jinja_setting *with,
                           txt_parts *out, sn_err *err)
{
    txt_parts p = {0};
    bool media = count_marks(messages, n) > 0;
    sn_status s = media ? render_lists(j, messages, n, open_answer, with, "image", &p, NULL) : SN_EFORMAT;
    if (s == SN_EFORMAT && media) s = render_lists(j, messages, n, open_answer, with, "audio", &p, NULL);
    if (s == SN_EFORMAT) s = render_strings(j, messages, n, open_answer, with, &p, err);
    if (s == SN_EFORMAT && !media && render_lists(j, messages, n, open_answer, with, "image", &p, NULL) == SN_OK) s = SN_OK;
    for (size_t i = 0; s == SN_OK && i < p.n; i++) s = emit(out, p.parts[i].text, p.parts[i].n, p.parts[i].framing, err);
    txt_parts_free(&p);
    return s;
}
