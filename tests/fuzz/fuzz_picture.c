/* Pictures: the check of the format that the bytes say they are, decoding, what is had of a truncated one, and EXIF. */
#include "../../vision/decode.h"
#include "fuzz.h"

static bool decode(const uint8_t *data, size_t n, bool accept_truncated)
{
    const vis_load_params how = {.max_pixels = 1 << 18, .accept_truncated = accept_truncated};
    vis_image img = {0};
    sn_err err = {0};
    const sn_status st = vis_image_decode(&img, data, n, "picture", &how, &err);
    fuzz_said(st, &err);
    FUZZ_MUST((st == SN_OK) == (img.rgb != NULL));
    if (st == SN_OK) FUZZ_MUST(img.w > 0 && img.h > 0 && img.w * img.h <= 1 << 18);
    if (st == SN_OK && !accept_truncated) FUZZ_MUST(img.partial.unit == SN_WHOLE);
    volatile unsigned sum = 0; /* all of it was written */
    for (size_t i = 0; st == SN_OK && i < img.w * img.h * 3; i++) sum = sum + img.rgb[i];
    vis_image_free(&img);
    return st == SN_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const int orientation = vis_exif_orientation(data, n);
    FUZZ_MUST(orientation >= 1 && orientation <= 8);
    if (!decode(data, n, false)) decode(data, n, true);
    return 0;
}
