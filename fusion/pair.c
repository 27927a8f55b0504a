#include "pair.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void fus_plain_name(char out[FUS_NAME_MAX], const sn_gguf *g)
{
    sn_str s = {0};
    size_t n = 0;
    if (sn_gguf_str_or(g, "general.basename", &s, NULL) != SN_OK || s.n == 0) (void)sn_gguf_str_or(g, "general.name", &s, NULL);
    for (size_t i = 0; i < s.n && n + 1 < FUS_NAME_MAX; i++) {
        const int c = tolower((unsigned char)s.p[i]);
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out[n++] = (char)c;
    }
    out[n] = '\0';
}

const char *fus_family_at(senses_medium_kind kind, size_t i, const sn_pairing **pairing)
{
    return kind == SENSES_IMAGE ? vis_family_at(i, pairing) : aud_family_at(i, pairing);
}

static bool has_token(const fus_decoder *d, const char *token)
{
    return txt_vocab_find(d->vocab, token, strlen(token)) != TXT_NO_ID;
}

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

/* What the family wants and d lacks. */
static bool lacks(const sn_pairing *p, const fus_decoder *d, fus_reason *why)
{
    for (size_t i = 0; i < sizeof p->tokens / sizeof *p->tokens; i++) {
        if (p->tokens[i] == NULL || has_token(d, p->tokens[i])) continue;
        snprintf(why->text, sizeof why->text, "has not the token %s that stands around its rows", p->tokens[i]);
        return true;
    }
    if (p->arch == NULL || sn_str_eq(d->arch, p->arch)) return false;
    snprintf(why->text, sizeof why->text, "is not of the architecture %s that its rows are for", p->arch);
    return true;
}

/* What d has that shows it to be another family's: p is that one's, `of` the family in question. */
static bool is_anothers(const char *other, const sn_pairing *p, const sn_pairing *of, const char *name, const fus_decoder *d,
                        fus_reason *why)
{
    const bool same_arch = p->arch && of->arch && strcmp(p->arch, of->arch) == 0;
    if (p->own && has_token(d, p->own))
        snprintf(why->text, sizeof why->text, "was trained with encoders of the family %s: it has their token %s", other, p->own);
    else if (p->arch && !same_arch && sn_str_eq(d->arch, p->arch))
        snprintf(why->text, sizeof why->text, "takes only encoders made for the architecture %s", p->arch);
    else if (p->named && begins(d->name, p->named) && !begins(name, p->named))
        snprintf(why->text, sizeof why->text, "was trained with encoders of the family %s, by its name", other);
    else
        return false;
    return true;
}

bool fus_arch_fits(senses_medium_kind kind, const sn_pairing *of, const char *arch)
{
    const sn_pairing *p;
    if (of->arch) return strcmp(of->arch, arch) == 0;
    for (size_t i = 0; fus_family_at(kind, i, &p) != NULL; i++)
        if (p->arch && strcmp(p->arch, arch) == 0) return false;
    return true;
}

bool fus_fits(senses_medium_kind kind, const char *family, const char *name, const fus_decoder *d, fus_reason *why)
{
    const sn_pairing *of = NULL, *p = NULL;
    const char *other;
    for (size_t i = 0; (other = fus_family_at(kind, i, &p)) != NULL; i++)
        if (strcmp(other, family) == 0) of = p;
    if (of == NULL) return true;
    if (lacks(of, d, why)) return false;
    for (size_t i = 0; (other = fus_family_at(kind, i, &p)) != NULL; i++)
        if (p != of && is_anothers(other, p, of, name, d, why)) return false;
    return true;
}

sn_status fus_pair_check(const senses_text *t, const senses_encoder *c, sn_err *err)
{
    const size_t have = senses_encoder_n_embd(c), want = txt_model_row_width(t->model);
    const char *arch = txt_model_hparams(t->model)->arch, *kind = c->vision ? "image" : "audio", *family = senses_encoder_family(c);
    fus_decoder d = {.arch = {arch, strlen(arch)}, .vocab = txt_model_vocab(t->model)};
    fus_reason why;
    if (have != want)
        return sn_fail(err, SN_ESHAPE,
                       "%s: an encoder (%s, %s) whose rows have width %zu, but %s is a text model (%s) of width %zu: not a pair", c->path,
                       kind, family, have, t->path, arch, want);
    fus_plain_name(d.name, txt_model_gguf(t->model));
    if (fus_fits(senses_encoder_kind(c), family, c->name, &d, &why)) return SN_OK;
    return sn_fail(err, SN_EUSAGE, "%s: an encoder (%s, %s), but %s is a text model (%s) that %s: not a pair", c->path, kind, family,
                   t->path, arch, why.text);
}

senses_status senses_pair_check(const senses_text *t, const senses_encoder *c, senses_error *err)
{
    return fus_pair_check(t, c, err);
}
