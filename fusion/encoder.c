/* encoder.c: an mmproj file, whichever sense it serves, as one handle; what a decoder would see of a medium. */
#include "internal.h"

#include <stdlib.h>

/* An mmproj says itself which sense it is for. */
static sn_status probe_kind(const char *path, senses_medium_kind *kind, sn_err *err)
{
    sn_gguf *g = NULL;
    sn_status st = sn_gguf_open(&g, path, err);
    if (st != SN_OK) return st;
    bool image = false, audio = false;
    st = sn_gguf_bool_or(g, "clip.has_vision_encoder", false, &image, err);
    if (st == SN_OK) st = sn_gguf_bool_or(g, "clip.has_audio_encoder", false, &audio, err);
    if (st != SN_OK) {
        sn_wrap(err, "%s", path);
    } else if (image && audio) {
        st = sn_fail(err, SN_EUNSUPPORTED, "%s: holds an image and an audio encoder in one file; give a file for each", path);
    } else if (!image && !audio) {
        sn_str arch = {0};
        if (sn_gguf_str_or(g, "general.architecture", &arch, NULL) != SN_OK || arch.p == NULL) arch = (sn_str){"unknown", 7};
        st = sn_fail(err, SN_EFORMAT, "%s: not an encoder with an adapter (mmproj): it is a GGUF of architecture \"%.*s\"", path,
                     (int)(arch.n < 40 ? arch.n : 40), arch.p);
    } else {
        *kind = image ? SENSES_IMAGE : SENSES_AUDIO;
    }
    sn_gguf_close(g);
    return st;
}

senses_status senses_encoder_open(senses_encoder **out, senses_engine *e, const char *path, senses_error *err)
{
    senses_medium_kind kind = SENSES_IMAGE;
    sn_status st = probe_kind(path, &kind, err);
    if (st != SN_OK) return st;
    senses_encoder *c = calloc(1, sizeof *c);
    if (c == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    c->engine = e;
    pthread_mutex_init(&c->lock, NULL);
    (void)fus_file_state_get(&c->state, path); /* before its content is looked at; a file without one has no cache */
    st = fus_copy_path(&c->path, path, err);
    if (st == SN_OK)
        st = kind == SENSES_IMAGE ? vis_model_open(&c->vision, path, e->compute, err) : aud_model_open(&c->audio, path, e->compute, err);
    if (st != SN_OK) {
        senses_encoder_close(c);
        return st;
    }
    *out = c;
    return SN_OK;
}

void senses_encoder_close(senses_encoder *c)
{
    if (c == NULL) return;
    vis_model_close(c->vision);
    aud_model_close(c->audio);
    pthread_mutex_destroy(&c->lock);
    free(c->path);
    free(c);
}

senses_medium_kind senses_encoder_kind(const senses_encoder *c)
{
    return c->vision ? SENSES_IMAGE : SENSES_AUDIO;
}

const char *senses_encoder_family(const senses_encoder *c)
{
    return c->vision ? vis_model_family(c->vision) : aud_model_family(c->audio);
}

const char *senses_encoder_path(const senses_encoder *c)
{
    return c->path;
}

size_t senses_encoder_n_embd(const senses_encoder *c)
{
    return c->vision ? vis_model_n_embd(c->vision) : aud_model_n_embd(c->audio);
}

static sn_status matrix_alloc(senses_matrix *m, size_t rows, size_t cols, sn_err *err)
{
    size_t n;
    m->data = sn_mul_ok(rows, cols, &n) ? sn_alloc(n, sizeof(float)) : NULL;
    if (m->data == NULL) return sn_fail(err, SN_ENOMEM, "out of memory for %zu x %zu values", rows, cols);
    m->rows = rows;
    m->cols = cols;
    return SN_OK;
}

senses_status senses_encode_image(senses_encoder *c, const senses_image *img, senses_image_fit fit, senses_matrix *out, senses_error *err)
{
    if (c->vision == NULL) return sn_fail(err, SN_EUSAGE, "%s: an audio encoder; it cannot read a picture", c->path);
    vis_prepared tiles = {0};
    senses_matrix m = {0};
    sn_status st = vis_model_prepare(c->vision, &img->pixels, (vis_fit)fit, &tiles, err);
    if (st == SN_OK) st = matrix_alloc(&m, tiles.n_tok, vis_model_n_embd(c->vision), err); /* [n_tok, n_embd] */
    if (st == SN_OK) st = fus_encode(c, &tiles, NULL, m.data, NULL, err);
    vis_prepared_free(&tiles);
    if (st == SN_OK)
        *out = m;
    else
        senses_matrix_free(&m);
    return st;
}

senses_status senses_encode_sound(senses_encoder *c, const senses_sound *s, senses_matrix *out, senses_error *err)
{
    if (c->audio == NULL) return sn_fail(err, SN_EUSAGE, "%s: an image encoder; it cannot hear a sound", c->path);
    senses_matrix m = {0};
    sn_status st = matrix_alloc(&m, aud_model_n_tok(c->audio, s->n), aud_model_n_embd(c->audio), err); /* [n_tok, n_embd] */
    if (st == SN_OK) st = fus_encode(c, NULL, s, m.data, NULL, err);
    if (st == SN_OK)
        *out = m;
    else
        senses_matrix_free(&m);
    return st;
}

senses_status senses_encoder_mel(senses_encoder *c, const senses_sound *s, senses_matrix *out, senses_error *err)
{
    if (c->audio == NULL) return sn_fail(err, SN_EUSAGE, "%s: an image encoder; it has no log-mel", c->path);
    senses_matrix m = {0};
    sn_status st = aud_model_mel(c->audio, s->samples, s->n, &m.data, &m.rows, &m.cols, err);
    if (st == SN_OK) *out = m;
    return st;
}
