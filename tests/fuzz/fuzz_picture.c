/* Pictures: the checks of every format on any bytes, EXIF, and whole decoding. */
#include "../../vision/decode.h"
#include "fuzz.h"

static void check_all(vis_bytes f)
{
    static sn_status (*const checks[])(vis_bytes, vis_head *, sn_err *) = {
        vis_check_png, vis_check_jpeg, vis_check_gif,  vis_check_bmp,  vis_check_tga,  vis_check_hdr,
        vis_check_psd, vis_check_pnm,  vis_check_webp, vis_check_tiff, vis_check_heif, vis_check_movie,
    };
    const int orientation = vis_exif_orientation(f.p, f.n);
    FUZZ_MUST(orientation >= 1 && orientation <= 8);
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        vis_head head = {0, 0, 1};
        sn_err err = {0};
        fuzz_said(checks[i](f, &head, &err), &err);
        FUZZ_MUST(head.orientation >= 1 && head.orientation <= 8);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vis_image img = {0};
    sn_err err = {0};
    check_all((vis_bytes){data, n});
    const sn_status st = vis_image_decode(&img, data, n, "picture", &(vis_load_params){.max_pixels = 1 << 18}, &err);
    fuzz_said(st, &err);
    FUZZ_MUST((st == SN_OK) == (img.rgb != NULL));
    if (st == SN_OK) FUZZ_MUST(img.w > 0 && img.h > 0 && img.w * img.h <= 1 << 18);
    volatile unsigned sum = 0; /* all of it was written */
    for (size_t i = 0; st == SN_OK && i < img.w * img.h * 3; i++) sum = sum + img.rgb[i];
    vis_image_free(&img);
    return 0;
}
