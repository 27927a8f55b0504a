/* framing.c: how a model's conversations are written: by the program in its file (jinja.c) or, where that does not run or there is none, by
 * the table (chat.c). */
#include "text.h"

#include "../core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct txt_framing {
    const txt_chat_template *table; /* NULL: none fits */
    txt_jinja *program;             /* NULL: none */
    char *bos, *eos;                /* spellings; NULL: none */
    bool adds_bos;                  /* the tokenizer puts it in front */
    char *path;                     /* of the model */
    const char *why_table;          /* why the table's entry is taken where there is no program */
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

/* The file's program; NULL where there is none, or what it has is the name of a template. */
static sn_status read_program(txt_jinja **out, const sn_gguf *g, sn_err *err)
{
    sn_str program;
    sn_status st = sn_gguf_str_or(g, "tokenizer.chat_template", &program, err);
    if (st != SN_OK || program.p == NULL || memchr(program.p, '{', program.n) == NULL) return st;
    return txt_jinja_open(out, program.p, program.n, err);
}

bool txt_framing_by_file(const sn_gguf *g)
{
    txt_jinja *program = NULL;
    const bool runs = read_program(&program, g, NULL) == SN_OK && program != NULL;
    txt_jinja_close(program);
    return runs;
}

static sn_status open_program(txt_framing *f, const sn_gguf *g, sn_err *err)
{
    sn_status st = read_program(&f->program, g, err);
    if (st == SN_OK || st == SN_ENOMEM || f->table == NULL) return st == SN_OK ? st : sn_wrap(err, "%s", sn_gguf_path(g));
    f->why_table = "the file's own is no program that can be run";
    return SN_OK;
}

sn_status txt_framing_open(txt_framing **out, const sn_gguf *g, const txt_vocab *v, const char *name, const struct tm *today, sn_err *err)
{
    txt_framing *f = calloc(1, sizeof *f);
    sn_err none_fits = {0};
    if (f == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    f->today = *today;
    f->adds_bos = txt_vocab_add_bos(v);
    f->path = strdup(sn_gguf_path(g));
    f->why_table = name != NULL ? "asked for" : "the file has none of its own";
    const sn_status known = txt_chat_template_get(&f->table, g, name, &none_fits);
    sn_status st = f->path == NULL ? sn_fail(err, SN_ENOMEM, "out of memory") : SN_OK;
    if (st == SN_OK) st = spelling_of(&f->bos, v, txt_vocab_bos(v), err);
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
    free(f->path);
    free(f);
}

/* What framed a conversation, for a person. */
static void say(char *by, const txt_framing *f, bool program, const sn_err *refusal)
{
    sn_err line;
    if (by == NULL) return;
    if (program)
        sn_fail(&line, SN_OK, "the chat template in %s", f->path);
    else if (refusal != NULL)
        sn_fail(&line, SN_OK, "the built-in chat template %s (the file's own failed: %s)", txt_chat_template_name(f->table), refusal->msg);
    else
        sn_fail(&line, SN_OK, "the built-in chat template %s (%s)", txt_chat_template_name(f->table), f->why_table);
    snprintf(by, TXT_FRAMED_MAX, "%s", line.msg);
}

sn_status txt_framing_render(const txt_framing *f, const txt_message *messages, size_t n, bool open_answer, txt_parts *out, char *by,
                             sn_err *err)
{
    const txt_jinja_setting with = {f->bos, f->eos, &f->today, !f->adds_bos};
    sn_err refusal = {.code = SN_OK};
    sn_status st = SN_EFORMAT;
    if (f->program != NULL) {
        st = txt_jinja_render(f->program, messages, n, open_answer, &with, out, &refusal);
        if (st == SN_OK) say(by, f, true, NULL);
        /* A program that refuses (a system message, two turns of one side) or fails: the table's entry is more patient. */
        if (st == SN_OK || st == SN_ENOMEM || f->table == NULL) return st == SN_OK ? st : sn_fail(err, st, "%s: %s", f->path, refusal.msg);
    }
    st = txt_chat_render(f->table, messages, n, open_answer, out, err);
    if (st == SN_OK) say(by, f, false, refusal.code != SN_OK ? &refusal : NULL);
    return st;
}

const char *txt_framing_stop(const txt_framing *f)
{
    return f->table != NULL ? txt_chat_stop(f->table) : NULL;
}
