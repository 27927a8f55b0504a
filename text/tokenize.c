/* tokenize.c: finds control and user-defined tokens in raw text, and hands what lies between them to the tokenizer. */
#include "vocab_internal.h"

#include <string.h>

/* The longest token that stands at p[n] among control and user-defined ones (only the latter where `plain`), or TXT_NO_ID. */
static txt_id special_at(const txt_vocab *v, const char *p, size_t n, bool plain)
{
    txt_id found = TXT_NO_ID;
    size_t lo = v->special_first[(unsigned char)p[0]], hi = v->special_first[(unsigned char)p[0] + 1];
    for (size_t depth = 1; lo < hi; depth++) { /* those in [lo, hi) begin with p[0 .. depth) */
        for (; lo < hi && v->tokens[v->special[lo]].n == depth; lo++)
            if (!plain || v->tokens[v->special[lo]].type == TXT_TYPE_USER) found = v->special[lo];
        if (depth == n) break;
        unsigned char c = (unsigned char)p[depth];
        size_t a = lo, b = hi; /* the first whose next byte is >= c, then the first whose next byte is > c */
        while (a < b) {
            size_t mid = a + (b - a) / 2;
            if ((unsigned char)txt_spelling(v, v->special[mid])[depth] < c)
                a = mid + 1;
            else
                b = mid;
        }
        lo = a;
        b = hi;
        while (a < b) {
            size_t mid = a + (b - a) / 2;
            if ((unsigned char)txt_spelling(v, v->special[mid])[depth] <= c)
                a = mid + 1;
            else
                b = mid;
        }
        hi = a;
    }
    return found;
}

typedef struct {
    const txt_vocab *v;
    txt_ids *out;
    char *run; /* text since the last token found, all parts joined */
    size_t n, cap;
} state;

static sn_status run_end(state *t, sn_err *err)
{
    if (t->n == 0) return SN_OK;
    sn_status s = t->v->is_spm ? txt_spm_tokenize(t->v, t->run, t->n, t->out, err) : txt_bpe_tokenize(t->v, t->run, t->n, t->out, err);
    t->n = 0;
    return s;
}

static sn_status run_add(state *t, const char *p, size_t n, sn_err *err)
{
    size_t need;
    if (n == 0) return SN_OK;
    if (!sn_add_ok(t->n, n, &need) || need > TXT_MAX_TEXT_BYTES)
        return sn_fail(err, SN_ELIMIT, "a text of more than %zu MiB", TXT_MAX_TEXT_BYTES >> 20);
    sn_status s = sn_grow((void **)&t->run, &t->cap, need, 1, err);
    if (s != SN_OK) return s;
    memcpy(t->run + t->n, p, n);
    t->n = need;
    return SN_OK;
}

static sn_status part_add(state *t, const char *p, size_t n, bool plain, sn_err *err)
{
    const txt_vocab *v = t->v;
    size_t begin = 0, i = 0;
    while (i < n) {
        unsigned char c = (unsigned char)p[i];
        bool may = plain ? v->user_first[c] : v->special_first[c] < v->special_first[c + 1];
        txt_id id = may ? special_at(v, p + i, n - i, plain) : TXT_NO_ID;
        if (id == TXT_NO_ID) {
            i++;
            continue;
        }
        sn_status s = run_add(t, p + begin, i - begin, err);
        if (s == SN_OK) s = run_end(t, err);
        if (s == SN_OK) s = txt_ids_push(t->out, id, err);
        if (s != SN_OK) return s;
        i += v->tokens[id].n;
        while (v->tokens[id].strips && i < n && strchr(" \t\n\v\f\r", p[i]) != NULL && p[i] != 0) i++;
        begin = i;
    }
    return run_add(t, p + begin, n - begin, err);
}

/* Framing parts that follow one another are one text: a control token may be spelled across them. */
static sn_status framing_add(state *t, const txt_part *parts, size_t n, sn_err *err)
{
    size_t len = 0;
    if (n == 1) return part_add(t, parts[0].text, parts[0].n, false, err);
    for (size_t i = 0; i < n; i++)
        if (!sn_add_ok(len, parts[i].n, &len)) return sn_fail(err, SN_ELIMIT, "a prompt of too many bytes");
    char *joined = sn_alloc(len, 1);
    if (joined == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    size_t at = 0;
    for (size_t i = 0; i < n; at += parts[i++].n)
        if (parts[i].n > 0) memcpy(joined + at, parts[i].text, parts[i].n);
    sn_status s = part_add(t, joined, len, false, err);
    sn_free(joined);
    return s;
}

sn_status txt_tokenize_parts(const txt_vocab *v, const txt_part *parts, size_t n, txt_ids *out, sn_err *err)
{
    state t = {.v = v, .out = out};
    size_t n_before = out->n;
    sn_status s = SN_OK;
    for (size_t i = 0, end; s == SN_OK && i < n; i = end) {
        for (end = i + 1; end < n && parts[i].framing && parts[end].framing; end++) {}
        s = parts[i].framing ? framing_add(&t, parts + i, end - i, err) : part_add(&t, parts[i].text, parts[i].n, true, err);
    }
    if (s == SN_OK) s = run_end(&t, err);
    sn_free(t.run);
    if (s != SN_OK) out->n = n_before;
    return s;
}

sn_status txt_tokenize(const txt_vocab *v, const char *text, size_t n, unsigned flags, txt_ids *out, sn_err *err)
{
    txt_part part = {.text = (char *)(uintptr_t)text, .n = n, .framing = (flags & TXT_PARSE_SPECIAL) != 0}; /* only read */
    bool ends = (flags & TXT_ADD_BOS_EOS) != 0;
    size_t n_before = out->n;
    sn_status s = SN_OK;
    if (ends && v->add_bos) s = txt_ids_push(out, v->bos, err);
    if (s == SN_OK) s = txt_tokenize_parts(v, &part, 1, out, err);
    if (s == SN_OK && ends && v->add_eos) s = txt_ids_push(out, v->eos, err);
    if (s != SN_OK) out->n = n_before;
    return s;
}
