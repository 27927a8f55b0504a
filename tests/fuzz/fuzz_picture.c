/* Pictures: the check of the format that the bytes say they are, decoding, and EXIF. */
#include "../../vision/decode.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vis_image img = {0};
    sn_err err = {0};
    const int orientation = vis_exif_orientation(data, n);
    FUZZ_MUST(orientation >= 1 && orientation <= 8);
    const sn_status st = vis_image_decode(&img, data, n, "picture", &(vis_load_params){.max_pixels = 1 << 18}, &err);
    fuzz_said(st, &err);
    FUZZ_MUST((st == SN_OK) == (img.rgb != NULL));
    if (st == SN_OK) FUZZ_MUST(img.w > 0 && img.h > 0 && img.w * img.h <= 1 << 18);
    volatile unsigned sum = 0; /* all of it was written */
    for (size_t i = 0; st == SN_OK && i < img.w * img.h * 3; i++) sum = sum + img.rgb[i];
    vis_image_free(&img);
    return 0;
}
