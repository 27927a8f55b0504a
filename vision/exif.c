/* exif.c: the orientation tag of a TIFF structure, which is what EXIF blocks are (EXIF 2.32, section 4.5; TIFF 6.0). */
#include "decode.h"

#define TAG_ORIENTATION 274
#define TYPE_SHORT 3
#define TYPE_LONG 4

int vis_exif_orientation(const unsigned char *t, size_t n)
{
    uint32_t (*u16)(const unsigned char *), (*u32)(const unsigned char *);
    size_t ifd, count;

    if (n < 8) return 1;
    if (!memcmp(t, "II*\0", 4)) {
        u16 = vis_le16;
        u32 = vis_le32;
    } else if (!memcmp(t, "MM\0*", 4)) {
        u16 = vis_be16;
        u32 = vis_be32;
    } else {
        return 1;
    }
    ifd = u32(t + 4);
    if (ifd > n - 2) return 1;
    count = u16(t + ifd);
    for (size_t i = 0, at = ifd + 2; i < count && at <= n && n - at >= 12; i++, at += 12) {
        const uint32_t type = u16(t + at + 2);
        uint32_t v;

        if (u16(t + at) != TAG_ORIENTATION) continue;
        if (u32(t + at + 4) != 1) return 1;
        v = type == TYPE_SHORT ? u16(t + at + 8) : type == TYPE_LONG ? u32(t + at + 8) : 1;
        return v >= 1 && v <= 8 ? (int)v : 1;
    }
    return 1;
}
