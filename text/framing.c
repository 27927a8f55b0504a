/* framing.c: how a model's conversations are written: by the program in its file (jinja.c) or, where that does not run or there is none, by
 * the table (chat.c). */
#include "text.h"

#include "../core/mem.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct txt_framing {
    const txt_chat_template *table; /* NULL: none fits */
    txt_jinja *program;             /* NULL: none */
    char *bos, *eos;                /* spellings; NULL: none */
    bool adds_bos;                  /* the tokenizer puts it in front */
    const char *path;               /* of the model, which outlives this */
    struct tm today;
};

/* The spelling of a token; NULL where there is none. */
static sn_status spelling_of(char **out, const txt_vocab *v, txt_id id, sn_err *err)
{
    if (id == TXT_NO_ID) return SN_OK;
    const size_t n = txt_piece(v, id, true, NULL, 0);
    *out = calloc(n + 1, 1);
    if (*out == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    txt_piece(v, id, true, *out, n);
    return SN_OK;
}

/* The file's program, unless what it has is the name of a template. */
static sn_status open_program(txt_framing *f, const sn_gguf *g, sn_err *err)
{
    sn_str program;
    sn_status st = sn_gguf_str_or(g, "tokenizer.chat_template", &program, err);
    if (st != SN_OK || program.p == NULL || memchr(program.p, '{', program.n) == NULL) return st;
    st = txt_jinja_open(&f->program, program.p, program.n, err);
    if (st != SN_OK && st != SN_ENOMEM && f->table != NULL) st = SN_OK; /* the table has it */
    return st == SN_OK ? st : sn_wrap(err, "%s", sn_gguf_path(g));
}

sn_status txt_framing_open(txt_framing **out, const sn_gguf *g, const txt_vocab *v, const char *name, const struct tm *today, sn_err *err)
{
    txt_framing *f = calloc(1, sizeof *f);
    sn_err none_fits = {0};
    if (f == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    f->today = *today;
    f->adds_bos = txt_vocab_add_bos(v);
    f->path = sn_gguf_path(g);
    const sn_status known = txt_chat_template_get(&f->table, g, name, &none_fits);
    sn_status st = spelling_of(&f->bos, v, txt_vocab_bos(v), err);
    if (st == SN_OK) st = spelling_of(&f->eos, v, txt_vocab_eos(v), err);
    if (st == SN_OK && name == NULL) st = open_program(f, g, err);
    if (st == SN_OK && known != SN_OK && f->program == NULL) st = sn_fail(err, known, "%s", none_fits.msg);
    if (st != SN_OK) {
        txt_framing_close(f);
        return st;
    }
    *out = f;
    return SN_OK;
}

void txt_framing_close(txt_framing *f)
{
    if (f == NULL) return;
    txt_jinja_close(f->program);
    free(f->bos);
    free(f->eos);
    free(f);
}

sn_status txt_framing_render(const txt_framing *f, const txt_message *messages, size_t n, bool open_answer, txt_parts *out, sn_err *err)
{
    const txt_jinja_setting with = {f->bos, f->eos, &f->today, !f->adds_bos};
    sn_status st = SN_EFORMAT;
    if (f->program != NULL) {
        st = txt_jinja_render(f->program, messages, n, open_answer, &with, out, err);
        if (st != SN_OK) sn_wrap(err, "%s", f->path);
    }
    /* A program that refuses (a system message, two turns of one side) or fails: the table's entry is more patient. */
    if (st != SN_OK && st != SN_ENOMEM && f->table != NULL) st = txt_chat_render(f->table, messages, n, open_answer, out, err);
    return st;
}

const char *txt_framing_stop(const txt_framing *f)
{
    return f->table != NULL ? txt_chat_stop(f->table) : NULL;
}
