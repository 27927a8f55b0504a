/* registry.c: the families, and the model that one of them makes of a file. */
#include "family.h"

#include "../core/mem.h"

/* clang-format off */
#define FAMILIES(X) \
    X(vis_llava) \
    X(vis_llavanext) \
    X(vis_idefics3) \
    X(vis_internvl) \
    X(vis_pixtral) \
    X(vis_gemma3) \
    X(vis_qwen2vl) \
    X(vis_qwen25vl) \
    X(vis_mobilevlm) \
    X(vis_mobilevlm_v2) \
    X(vis_granite) \
    X(vis_qwen3vl) \
    X(vis_senses_page)
/* clang-format on */
#define DECLARE(family) extern const vis_family family;
#define ADDRESS(family) &family,

FAMILIES(DECLARE)
static const vis_family *const families[] = {FAMILIES(ADDRESS)};

static sn_status find_family(const vis_family **out, const sn_gguf *g, sn_err *err)
{
    const vis_family *found = NULL;
    const char *path = sn_gguf_path(g);
    sn_str arch, projector;
    bool has_vision;
    sn_status st;

    if ((st = sn_gguf_str_or(g, "general.architecture", &arch, err)) != SN_OK) return st;
    if (!sn_str_eq(arch, "clip"))
        return sn_fail(err, SN_EUNSUPPORTED, "%s: this is no encoder (mmproj) file: its architecture is \"%.*s\"", path,
                       (int)(arch.n < 64 ? arch.n : 64), arch.p ? arch.p : "");
    if ((st = sn_gguf_bool_or(g, "clip.has_vision_encoder", false, &has_vision, err)) != SN_OK) return st;
    if (!has_vision) return sn_fail(err, SN_EUNSUPPORTED, "%s: no encoder for pictures in this file", path);
    if ((st = sn_gguf_str_or(g, "clip.projector_type", &projector, err)) != SN_OK) return st;
    if (!projector.p && (st = sn_gguf_str_or(g, "clip.vision.projector_type", &projector, err)) != SN_OK)
        return st; /* files with two encoders */
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (!families[i]->match(g, projector)) continue;
        if (found) return sn_fail(err, SN_EUNSUPPORTED, "%s: both %s and %s claim this encoder", path, found->name, families[i]->name);
        found = families[i];
    }
    if (!found)
        return sn_fail(err, SN_EUNSUPPORTED, "%s: encoders of type \"%.*s\" are not known", path,
                       (int)(projector.n < 64 ? projector.n : 64), projector.p ? projector.p : "");
    *out = found;
    return SN_OK;
}

sn_status vis_model_open(vis_model **out, const char *path, sn_compute *c, sn_err *err)
{
    vis_model *m = sn_calloc(1, sizeof *m);
    sn_status st;

    if (!m) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    m->compute = c;
    if ((st = sn_gguf_open(&m->gguf, path, err)) != SN_OK) goto fail;
    if ((st = find_family(&m->family, m->gguf, err)) != SN_OK) goto fail;
    if ((st = m->family->open(m, err)) != SN_OK) goto fail;
    *out = m;
    return SN_OK;
fail:
    vis_model_close(m);
    return st;
}

void vis_model_close(vis_model *m)
{
    if (!m) return;
    if (m->family) m->family->close(m);
    vit_close(&m->vit);
    sn_arena_free(&m->arena);
    sn_gguf_close(m->gguf);
    sn_free(m);
}

const char *vis_model_family(const vis_model *m)
{
    return m->family->name;
}

const char *vis_family_at(size_t i, const sn_pairing **pairing)
{
    if (i >= sizeof families / sizeof *families) return NULL;
    *pairing = &families[i]->pairing;
    return families[i]->name;
}

size_t vis_model_n_embd(const vis_model *m)
{
    return m->n_embd;
}

size_t vis_model_bytes(const vis_model *m)
{
    return sn_gguf_bytes(m->gguf) + vit_bytes(&m->vit) + m->arena.size;
}

sn_status vis_model_prepare(vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err)
{
    return m->family->prepare(m, img, fit, out, err);
}

sn_status vis_model_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err)
{
    sn_turn_take(m->compute);
    sn_status st = m->family->encode(m, p, out, err);
    sn_turn_end(m->compute);
    return st;
}

sn_status vis_reserve(vis_model *m, size_t bytes, sn_err *err)
{
    sn_arena_reset(&m->arena, 0);
    if (m->arena.size >= bytes) return SN_OK;
    sn_arena_free(&m->arena);
    m->arena = (sn_arena){0};
    return sn_arena_init(&m->arena, bytes, err);
}

sn_status vis_tensor_rows(size_t *out, const sn_gguf *g, const char *name, sn_err *err)
{
    const sn_tensor *t = sn_gguf_tensor(g, name);

    if (!t) return sn_fail(err, SN_ESHAPE, "%s: no tensor %s", sn_gguf_path(g), name);
    if (t->n_dims != 2) return sn_fail(err, SN_ESHAPE, "%s: %s: want two axes, file has %zu", sn_gguf_path(g), name, t->n_dims);
    *out = t->shape[0];
    return SN_OK;
}
