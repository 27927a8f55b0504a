#include "npy.h"

#include <stdlib.h>
#include <string.h>

#include "output.h"

static void write_header(FILE *f, const senses_matrix *m, bool flat)
{
    enum { PREFIX = 10, ALIGN = 64 };
    char *shape = flat ? text_format("(%zu,)", m->cols) : text_format("(%zu, %zu)", m->rows, m->cols);
    char *header = text_format("{'descr': '<f4', 'fortran_order': False, 'shape': %s, }", shape);
    size_t n = strlen(header), padded = (PREFIX + n + 1 + ALIGN - 1) / ALIGN * ALIGN - PREFIX; /* data begin at a multiple of 64 */
    fwrite("\x93NUMPY\x01\x00", 1, 8, f);
    fputc((int)(padded & 255), f);
    fputc((int)(padded >> 8), f);
    fprintf(f, "%s%*s\n", header, (int)(padded - n - 1), "");
    free(header);
    free(shape);
}

/* On a machine of the other byte order the bytes are turned around, so that the header tells the truth everywhere. */
static void write_floats(FILE *f, const float *data, size_t n)
{
    enum { BLOCK = 4096 };
    unsigned char bytes[BLOCK * 4];
    for (size_t i = 0; i < n && !ferror(f); i += BLOCK) {
        size_t part = n - i < BLOCK ? n - i : BLOCK;
        for (size_t k = 0; k < part; k++) {
            uint32_t bits;
            memcpy(&bits, data + i + k, sizeof bits);
            for (int b = 0; b < 4; b++) bytes[4 * k + (size_t)b] = (unsigned char)(bits >> (8 * b));
        }
        fwrite(bytes, 4, part, f);
    }
}

bool npy_write(const char *path, const senses_matrix *m, bool flat)
{
    cli_outfile out;
    if (!outfile_open(&out, path)) return false;
    write_header(out.f, m, flat);
    write_floats(out.f, m->data, m->rows * m->cols);
    return outfile_commit(&out);
}
