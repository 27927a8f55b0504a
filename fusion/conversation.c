#include "conversation.h"

#include <stdlib.h>
#include <string.h>

void fus_conversation_free(fus_conversation *c)
{
    for (size_t i = 0; i < c->n; i++) fus_text_free(&c->turns[i].text);
    sn_free(c->turns);
    fus_text_free(&c->read);
    *c = (fus_conversation){.framed = c->framed};
}

static sn_status push_turn(fus_conversation *c, txt_role role, fus_text *text, sn_err *err)
{
    sn_status st = sn_grow((void **)&c->turns, &c->cap, c->n + 1, sizeof *c->turns, err);
    if (st != SN_OK) return st;
    c->turns[c->n++] = (fus_turn){.role = role, .text = *text};
    *text = (fus_text){0};
    return SN_OK;
}

void fus_conversation_pop(fus_conversation *c, size_t n_read)
{
    c->read.n = n_read;
    if (c->framed && c->n) fus_text_free(&c->turns[--c->n].text);
}

sn_status fus_conversation_system(fus_conversation *c, const char *text, sn_err *err)
{
    fus_text t = {0};
    sn_status st = fus_text_append(&t, text, strlen(text), err);
    if (st == SN_OK) st = push_turn(c, TXT_SYSTEM, &t, err);
    fus_text_free(&t);
    return st;
}

sn_status fus_conversation_answered(fus_conversation *c, const char *text, size_t n, sn_err *err)
{
    fus_text t = {0};
    sn_status st = fus_text_append(&c->read, text, n, err);
    if (c->framed == NULL || st != SN_OK) return st;
    while (n > 0 && (*text == ' ' || *text == '\n')) text++, n--; /* templates put the blank between turns themselves */
    st = fus_text_append(&t, text, n, err);
    if (st == SN_OK) st = push_turn(c, TXT_ASSISTANT, &t, err);
    fus_text_free(&t);
    return st;
}

/* ---- composing a turn: pieces of the prompt (the user's words) and of media ---- */

typedef struct {
    txt_parts parts; /* texts owned */
    bool raw;        /* the user's words may spell control tokens */
    sn_err *err;
} composer;

static sn_status compose(composer *k, fus_text *t, bool framing)
{
    if (t->n == 0) return SN_OK;
    sn_status st = sn_grow((void **)&k->parts.parts, &k->parts.cap, k->parts.n + 1, sizeof *k->parts.parts, k->err);
    char *copy = st == SN_OK ? malloc(t->n) : NULL;
    if (st == SN_OK && copy == NULL) st = sn_fail(k->err, SN_ENOMEM, "out of memory for a prompt");
    if (st != SN_OK) return st;
    memcpy(copy, t->p, t->n);
    k->parts.parts[k->parts.n++] = (txt_part){.text = copy, .n = t->n, .framing = framing};
    t->n = 0;
    return SN_OK;
}

static sn_status compose_medium(composer *k, fus_text *words, const senses_medium *m)
{
    if (m->image || m->sound) return fus_text_append_mark(words, k->err);
    sn_status st = compose(k, words, k->raw);
    fus_text data = {0};
    if (st == SN_OK) st = fus_text_append(&data, m->text, m->n_text, k->err);
    if (st == SN_OK) st = compose(k, &data, false);
    fus_text_free(&data);
    return st;
}

static size_t count_markers(const char *prompt)
{
    size_t n = 0;
    for (const char *p = prompt; (p = strstr(p, SENSES_MEDIA_MARKER)) != NULL; p += strlen(SENSES_MEDIA_MARKER)) n++;
    return n;
}

static sn_status compose_turn(composer *k, const char *prompt, const senses_medium *media, size_t n_media)
{
    const size_t n_markers = count_markers(prompt);
    if (n_markers > n_media)
        return sn_fail(k->err, SN_EUSAGE, "the prompt has %zu %s markers, but %zu media were given", n_markers, SENSES_MEDIA_MARKER,
                       n_media);
    fus_text words = {0};
    sn_status st = SN_OK;
    size_t next = 0;
    while (next < n_media - n_markers && st == SN_OK) st = compose_medium(k, &words, &media[next++]);
    while (st == SN_OK) {
        const char *marker = strstr(prompt, SENSES_MEDIA_MARKER);
        st = fus_text_append(&words, prompt, marker ? (size_t)(marker - prompt) : strlen(prompt), k->err);
        if (marker == NULL) break;
        if (st == SN_OK) st = compose_medium(k, &words, &media[next++]);
        prompt = marker + strlen(SENSES_MEDIA_MARKER);
    }
    if (st == SN_OK) st = compose(k, &words, k->raw);
    fus_text_free(&words);
    return st;
}

static sn_status append_parts(fus_text *t, const txt_parts *parts, sn_err *err)
{
    sn_status st = SN_OK; /* the marks are wanted here: they are part of what was read */
    for (size_t i = 0; i < parts->n && st == SN_OK; i++) {
        st = sn_grow((void **)&t->p, &t->cap, t->n + parts->parts[i].n, 1, err);
        if (st == SN_OK) memcpy(t->p + t->n, parts->parts[i].text, parts->parts[i].n);
        if (st == SN_OK) t->n += parts->parts[i].n;
    }
    return st;
}

/* Drops the first n bytes of parts. */
static void drop_front(txt_parts *parts, size_t n)
{
    for (size_t i = 0; i < parts->n && n > 0; i++) {
        txt_part *p = &parts->parts[i];
        size_t cut = n < p->n ? n : p->n;
        memmove(p->text, p->text + cut, p->n - cut);
        p->n -= cut;
        n -= cut;
    }
}

/* Bytes that are no blanks: as many as a template leaves of a text, wherever it puts its parts. */
static size_t solid_bytes(const char *text, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) k += (unsigned char)text[i] > ' ';
    return k;
}

static bool stands_in(const txt_part *p, const txt_message *turn)
{
    const char *text = p->text;
    size_t n = p->n;
    while (n > 0 && (unsigned char)*text <= ' ') text++, n--;
    while (n > 0 && (unsigned char)text[n - 1] <= ' ') n--;
    return n > 0 && turn->n > 0 && memmem(turn->text, turn->n, text, n) != NULL;
}

/* Where a template renders an earlier answer otherwise than it was generated (trimmed, without its thoughts, the system's words elsewhere), what is
 * new is what stands behind that answer: in front of all that the last turn became, which may be several parts, the nearest message that is of the
 * answer, or else (false) the nearest. *front: the bytes in front. */
static bool behind_last_answer(const txt_message *messages, size_t n, const txt_parts *parts, size_t *front)
{
    const txt_message *asked = &messages[n - 1];
    size_t left = solid_bytes(asked->text, asked->n), i = parts->n, behind = 0;
    bool found = false;
    while (i > 0 && left > 0) {
        const txt_part *p = &parts->parts[--i];
        const size_t solid = p->framing ? 0 : solid_bytes(p->text, p->n);
        left -= solid < left ? solid : left;
    }
    for (; i > 0 && !found; i--) {
        const txt_part *p = &parts->parts[i - 1];
        if (p->framing) continue;
        found = n > 1 && stands_in(p, &messages[n - 2]);
        if (found || behind == 0) behind = i;
    }
    *front = 0;
    for (size_t j = 0; j < behind; j++) *front += parts->parts[j].n;
    return found;
}

/* An answer of which nothing is shown (it is empty, or all thoughts) has no place: its turn is rendered with a word in it, to have one. What
 * begins the answer would be read twice otherwise. */
static sn_status drop_read(fus_conversation *c, txt_message *messages, txt_parts *parts, sn_err *err)
{
    static const char word[] = "-";
    txt_parts marked = {0};
    size_t front, marked_front;
    const bool found = behind_last_answer(messages, c->n, parts, &front);
    if (found || c->n < 2 || messages[c->n - 2].role != TXT_ASSISTANT) {
        drop_front(parts, front);
        return SN_OK;
    }
    messages[c->n - 2] = (txt_message){TXT_ASSISTANT, word, sizeof word - 1};
    sn_status st = txt_framing_render(c->framed, messages, c->n, true, &marked, NULL, err);
    if (st == SN_OK && behind_last_answer(messages, c->n, &marked, &marked_front)) {
        txt_parts_free(parts);
        *parts = marked;
        front = marked_front;
    } else {
        txt_parts_free(&marked);
    }
    if (st == SN_OK) drop_front(parts, front);
    return st;
}

static size_t count_marks(const char *text, size_t n)
{
    size_t marks = 0;
    for (size_t i = 0; i < n; i++) marks += text[i] == TXT_MEDIA_MARK;
    return marks;
}

/* A template may leave words out or say them twice, but each medium is read where it was put, once. */
static sn_status check_marks(const fus_conversation *c, const txt_parts *parts, sn_err *err)
{
    const fus_text *asked = &c->turns[c->n - 1].text;
    const size_t want = count_marks(asked->p, asked->n);
    size_t got = 0;
    for (size_t i = 0; i < parts->n; i++) got += count_marks(parts->parts[i].text, parts->parts[i].n);
    if (got == want) return SN_OK;
    return sn_fail(err, SN_EFORMAT, "%s writes %zu place%s for the %zu media of this turn: another can be named (--chat-template)",
                   c->framed_by, got, got == 1 ? "" : "s", want);
}

/* Renders all turns and keeps what the decoder has not read. */
static sn_status render_new(fus_conversation *c, txt_parts *parts, sn_err *err)
{
    txt_message *messages = calloc(c->n, sizeof *messages);
    if (messages == NULL) return sn_fail(err, SN_ENOMEM, "out of memory for a prompt");
    for (size_t i = 0; i < c->n; i++)
        messages[i] =
            (txt_message){.role = c->turns[i].role, .text = c->turns[i].text.p ? c->turns[i].text.p : "", .n = c->turns[i].text.n};
    fus_text whole = {0};
    sn_status st = txt_framing_render(c->framed, messages, c->n, true, parts, c->framed_by, err);
    if (st == SN_OK) st = append_parts(&whole, parts, err);
    if (st == SN_OK) {
        bool same = c->read.n == 0 || (whole.n >= c->read.n && memcmp(whole.p, c->read.p, c->read.n) == 0);
        if (same)
            drop_front(parts, c->read.n);
        else
            st = drop_read(c, messages, parts, err);
    }
    if (st == SN_OK) st = check_marks(c, parts, err);
    fus_text_free(&whole);
    free(messages);
    return st;
}

sn_status fus_conversation_ask(fus_conversation *c, const char *prompt, const senses_medium *media, size_t n_media, txt_parts *parts,
                               sn_err *err)
{
    composer k = {.raw = c->framed == NULL, .err = err};
    fus_text turn = {0};
    sn_status st = compose_turn(&k, prompt, media, n_media);
    if (st == SN_OK && c->framed) {
        st = append_parts(&turn, &k.parts, err);
        if (st == SN_OK) st = push_turn(c, TXT_USER, &turn, err);
        txt_parts_free(&k.parts);
        if (st == SN_OK && (st = render_new(c, &k.parts, err)) != SN_OK) fus_text_free(&c->turns[--c->n].text);
    }
    if (st == SN_OK) st = append_parts(&c->read, &k.parts, err);
    fus_text_free(&turn);
    if (st == SN_OK)
        *parts = k.parts;
    else
        txt_parts_free(&k.parts);
    return st;
}
