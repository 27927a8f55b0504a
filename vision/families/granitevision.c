/* granitevision.c: Granite Vision 3 (Granite Vision Team 2025): LLaVA-NeXT's tiles, seen by SigLIP, with the features of several of its
 * layers side by side in front of the projector, for a Granite decoder.
 *
 *   tile -> ViT -> [n, n_features * vit n_embd], the states behind the layers of clip.vision.feature_layer, in its order
 *   -> mm.0 -> GELU -> mm.2; rows as LLaVA-NeXT's */
#include "llava.h"

static bool granite_match(const sn_gguf *g, sn_str projector)
{
    return sn_str_eq(projector, "mlp") && llava_is_anyres(g) && llava_n_features(g) > 1;
}

extern const vis_family vis_granite;
const vis_family vis_granite = {
    .name = "granite-vision",
    .pairing = {.arch = "granite"},
    .match = granite_match,
    .open = llavanext_open,
    .close = llava_close_adapter,
    .prepare = llavanext_prepare,
    .encode = llavanext_encode,
};
