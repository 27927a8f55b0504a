/* engine.c: the engine, pictures and sounds: thin handles over core, vision and audio. */
#include "../core/sandbox.h"
#include "../core/worker.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_MAX_SECONDS 3600.0

sn_status fus_copy_path(char **out, const char *path, sn_err *err)
{
    *out = strdup(path);
    return *out ? SN_OK : sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
}

senses_status senses_engine_open(senses_engine **out, const senses_engine_params *p, senses_error *err)
{
    sn_isa isa = SN_ISA_BEST;
    if (p && p->isa && !sn_isa_parse(p->isa, &isa))
        return sn_fail(err, SN_EUSAGE, "unknown instruction set \"%s\": use scalar, avx2, avx512, avx512-vnni or amx", p->isa);
    senses_engine *e = calloc(1, sizeof *e);
    if (e == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    sn_worker_prepare(); /* before there are threads */
    sn_status st = sn_compute_open(&e->compute, p ? p->threads : 0, isa, err);
    if (st != SN_OK) {
        free(e);
        return st;
    }
    sn_compute_set_coarse(e->compute, !p || p->precision == SENSES_PRECISION_INT8);
    if (p && p->n_callers > 1) sn_compute_set_callers(e->compute, p->n_callers);
    *out = e;
    return SN_OK;
}

void senses_engine_close(senses_engine *e)
{
    if (e == NULL) return;
    sn_compute_close(e->compute);
    free(e);
}

size_t senses_engine_threads(const senses_engine *e)
{
    return sn_compute_threads(e->compute);
}

const char *senses_engine_isa(const senses_engine *e)
{
    return sn_isa_name(sn_compute_isa(e->compute));
}

const char *senses_sandbox(void)
{
    return sn_sandbox_layers();
}

senses_status senses_image_load(senses_image **out, const char *path, const senses_image_params *p, senses_error *err)
{
    vis_load_params limits = {0};
    if (p) limits = (vis_load_params){p->max_pixels, p->no_sandbox, p->timeout_s, p->accept_truncated};
    senses_image *img = calloc(1, sizeof *img);
    if (img == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    sn_status st = vis_image_load(&img->pixels, path, &limits, err);
    if (st != SN_OK) {
        free(img);
        return st;
    }
    sn_partial_text(img->partial, &img->pixels.partial);
    *out = img;
    return SN_OK;
}

const char *senses_image_partial(const senses_image *img)
{
    return img->partial;
}

void senses_image_close(senses_image *img)
{
    if (img == NULL) return;
    vis_image_free(&img->pixels);
    free(img);
}

void senses_image_size(const senses_image *img, size_t *width_px, size_t *height_px)
{
    *width_px = img->pixels.w;
    *height_px = img->pixels.h;
}

senses_status senses_image_faint_text(const senses_image *img, senses_faint_text *out, senses_error *err)
{
    vis_faint_text t;
    sn_status st = vis_faint_text_find(&t, &img->pixels, err);
    if (st == SN_OK) *out = (senses_faint_text){t.n_glyphs, t.x, t.y, t.w, t.h, t.contrast};
    return st;
}

typedef struct {
    senses_frame_fn fn;
    void *user;
    bool no_memory;
} frame_receiver;

static bool receive_frame(void *user, vis_image *pixels, double time_s)
{
    frame_receiver *r = user;
    senses_image *img = calloc(1, sizeof *img);
    if (img == NULL) {
        vis_image_free(pixels);
        r->no_memory = true;
        return false;
    }
    img->pixels = *pixels;
    sn_partial_text(img->partial, &pixels->partial);
    return r->fn(r->user, img, time_s);
}

senses_status senses_video_frames(const char *path, const senses_video_params *p, senses_frame_fn fn, void *user, bool *sound,
                                  senses_error *err)
{
    vis_video_params limits = {.max_frames = p && p->max_frames ? p->max_frames : 8};
    if (p) limits = (vis_video_params){p->max_pixels, limits.max_frames, p->no_sandbox, p->timeout_s, p->accept_truncated};
    frame_receiver r = {fn, user, false};
    bool heard = false;
    if (strcmp(path, "-") == 0) return sn_fail(err, SN_EUSAGE, "standard input: a video is read more than once; name a file");
    sn_status st = vis_video_load(path, &limits, receive_frame, &r, &heard, err);
    if (r.no_memory) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    if (st == SN_OK && sound) *sound = heard;
    return st;
}

senses_status senses_sound_load(senses_sound **out, const char *path, const senses_sound_params *p, senses_error *err)
{
    const double max_seconds = p && p->max_seconds > 0 ? p->max_seconds : DEFAULT_MAX_SECONDS;
    aud_open_params how = {0};
    if (p) how = (aud_open_params){p->no_sandbox, p->timeout_s, p->accept_truncated};
    senses_sound *s = calloc(1, sizeof *s);
    if (s == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    aud_source *src = NULL;
    sn_status st = aud_source_open(&src, path, &how, err);
    if (st == SN_OK) st = aud_source_read_all(src, (size_t)(max_seconds * AUD_RATE_HZ), &s->samples, &s->n, err);
    if (st == SN_OK) sn_partial_text(s->partial, aud_source_partial(src));
    aud_source_close(src);
    if (st != SN_OK) {
        free(s);
        return st;
    }
    *out = s;
    return SN_OK;
}

void senses_sound_close(senses_sound *s)
{
    if (s == NULL) return;
    sn_free(s->samples);
    free(s);
}

senses_status senses_sound_length(const char *path, double *seconds, senses_error *err)
{
    aud_source *src = NULL;
    sn_status st = aud_source_open(&src, path, NULL, err);
    if (st == SN_OK) *seconds = aud_source_seconds(src);
    aud_source_close(src);
    return st;
}

const char *senses_sound_partial(const senses_sound *s)
{
    return s->partial;
}

double senses_sound_seconds(const senses_sound *s)
{
    return (double)s->n / AUD_RATE_HZ;
}

void senses_matrix_free(senses_matrix *m)
{
    if (m == NULL) return;
    sn_free(m->data);
    *m = (senses_matrix){0};
}
