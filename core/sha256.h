/* sha256.h: SHA-256 (FIPS 180-4), for checksums of model files and media. */
#ifndef CORE_SHA256_H
#define CORE_SHA256_H

#include "error.h"

typedef struct {
    uint32_t h[8];
    uint64_t n_bytes;
    unsigned char rest[64]; /* n_bytes % 64 of them wait for their block to fill */
    bool fast;              /* with this CPU's own instructions */
} sn_sha256;

void sn_sha256_init(sn_sha256 *s);
void sn_sha256_add(sn_sha256 *s, const void *data, size_t n);
/* The digest as 64 lower-case hexadecimal digits. s is spent. */
void sn_sha256_hex(sn_sha256 *s, char hex[65]);
/* Of a whole regular file; the message names it. An empty file has a digest too. */
sn_status sn_sha256_file(const char *path, char hex[65], sn_err *err);

/* ---- sha256_ni.c: private to core ---- */
extern const uint32_t sn_sha256_constants[64];
bool sn_sha256_fast_usable(void);
void sn_sha256_fast(uint32_t h[8], const unsigned char *p, size_t n_blocks);

#endif
