/* image_stb.c: stb_image, for the formats whose files check.c and check_jpeg.c have walked and found whole. */
#include "../core/mem.h"
#include "decode.h"

#include <limits.h>

/* stb asks for memory with sizes that come from the file as it goes: a PNG's pixels may inflate to a thousand times its
 * bytes. The limit bounds each block one call may ask for (it holds a handful at a time); per thread, set around that call. */
static _Thread_local size_t block_limit;
static _Thread_local bool memory_out; /* a block within the limit was not to be had: that is not the file's fault */

static void *stb_alloc(size_t n)
{
    void *p = n <= block_limit ? sn_alloc(n, 1) : NULL;
    memory_out |= n <= block_limit && p == NULL;
    return p;
}

static void *stb_realloc(void *q, size_t n_old, size_t n_new)
{
    void *p = stb_alloc(n_new);

    if (!p) return NULL;
    if (q) memcpy(p, q, n_old < n_new ? n_old : n_new);
    sn_free(q);
    return p;
}

/* Damaged coefficients overflow stb's signed arithmetic; the picture is wrong then, but the program must not be: the Makefile has this
 * file compiled with -fwrapv. */
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_NO_PIC
#define STBI_NO_PNM
#define STBI_MAX_DIMENSIONS VIS_MAX_SIDE
#define STBI_ASSERT(x) ((void)0) /* all of stb's asserts are about its own state, and a library must not end the program */
#define STBI_MALLOC(n) stb_alloc(n)
#define STBI_REALLOC_SIZED(p, n_old, n_new) stb_realloc(p, n_old, n_new)
#define STBI_FREE(p) sn_free(p)

#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>

sn_status vis_decode_stb(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err)
{
    int w, h, n_ch;
    unsigned char *data;

    (void)max_pixels; /* the head's size is final for these formats */
    if (f.n > INT_MAX) return sn_fail(err, SN_ELIMIT, "a picture file of more than 2 GB");
    /* 16 bytes a pixel (HDR as floats; 16-bit RGBA, whose inflater doubles the block it fills), and small tables. */
    block_limit = (head->w + 64) * (head->h + 64) * 16 + (1 << 20);
    memory_out = false;
    data = stbi_load_from_memory(f.p, (int)f.n, &w, &h, &n_ch, 0);
    block_limit = 0;
    if (!data && memory_out) return sn_fail(err, SN_ENOMEM, "out of memory for a picture of %zu x %zu pixels", head->w, head->h);
    if (!data) return sn_fail(err, SN_EFORMAT, "the picture is damaged (%s)", stbi_failure_reason());
    if ((size_t)w != head->w || (size_t)h != head->h || n_ch < 1 || n_ch > 4) {
        sn_free(data);
        return sn_fail(err, SN_EFORMAT, "the picture is damaged: its size is said twice, differently");
    }
    *out = (vis_raster){head->w, head->h, (size_t)n_ch, data, 0};
    return SN_OK;
}
