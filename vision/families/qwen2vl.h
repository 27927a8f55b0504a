/* qwen2vl.h: what the eyes of Qwen2-VL and of its successors share. Private to vision/families. */
#ifndef VISION_FAMILIES_QWEN2VL_H
#define VISION_FAMILIES_QWEN2VL_H

#include "../family.h"

typedef struct {
    size_t merge;                  /* patches a side that become one row */
    double min_pixels, max_pixels; /* of the picture as the encoder sees it */
} qwen2vl_cut;

/* One tile near the picture's own size, of whole rows, between <|vision_start|> and <|vision_end|> (HF Qwen2VLImageProcessor). */
sn_status qwen2vl_prepare_as(const vis_model *m, const vis_image *img, vis_fit fit, const qwen2vl_cut *cut, vis_prepared *out, sn_err *err);

#endif
