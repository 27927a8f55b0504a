#include "sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2). */
const uint32_t sn_sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* One round; the letters take each other's places with every round, by the order of the arguments. */
#define ROUND(a, b, c, d, e, f, g, h, t)                                                                                                   \
    do {                                                                                                                                   \
        const uint32_t t1 = (h) + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (((e) & (f)) ^ (~(e) & (g))) + sn_sha256_constants[t] + w[t]; \
        (d) += t1;                                                                                                                         \
        (h) = t1 + (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + (((a) & (b)) ^ ((a) & (c)) ^ ((b) & (c)));                                   \
    } while (0)

/* Blocks of 64 bytes (6.2.2). */
static void mix(uint32_t h[8], const unsigned char *p, size_t n_blocks)
{
    for (; n_blocks > 0; n_blocks--, p += 64) {
        uint32_t w[64], x[8];
        for (int t = 0; t < 16; t++) w[t] = big_endian(p + 4 * t);
        for (int t = 16; t < 64; t++) {
            const uint32_t s0 = turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >> 3;
            const uint32_t s1 = turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >> 10;
            w[t] = s1 + w[t - 7] + s0 + w[t - 16];
        }
        memcpy(x, h, sizeof x);
        for (int t = 0; t < 64; t += 8) {
            ROUND(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], t);
            ROUND(x[7], x[0], x[1], x[2], x[3], x[4], x[5], x[6], t + 1);
            ROUND(x[6], x[7], x[0], x[1], x[2], x[3], x[4], x[5], t + 2);
            ROUND(x[5], x[6], x[7], x[0], x[1], x[2], x[3], x[4], t + 3);
            ROUND(x[4], x[5], x[6], x[7], x[0], x[1], x[2], x[3], t + 4);
            ROUND(x[3], x[4], x[5], x[6], x[7], x[0], x[1], x[2], t + 5);
            ROUND(x[2], x[3], x[4], x[5], x[6], x[7], x[0], x[1], t + 6);
            ROUND(x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[0], t + 7);
        }
        for (int i = 0; i < 8; i++) h[i] += x[i];
    }
}

void sn_sha256_init(sn_sha256 *s)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    s->n_bytes = 0;
    s->fast = sn_sha256_fast_usable();
    memcpy(s->h, start, sizeof start);
}

void sn_sha256_add(sn_sha256 *s, const void *data, size_t n)
{
    const unsigned char *p = data;
    const size_t waiting = s->n_bytes % 64;
    void (*const blocks)(uint32_t *, const unsigned char *, size_t) = s->fast ? sn_sha256_fast : mix;
    if (n == 0) return;
    s->n_bytes += n;
    if (waiting > 0) {
        const size_t take = 64 - waiting < n ? 64 - waiting : n;
        memcpy(s->rest + waiting, p, take);
        p += take;
        n -= take;
        if (waiting + take < 64) return;
        blocks(s->h, s->rest, 1);
    }
    blocks(s->h, p, n / 64);
    memcpy(s->rest, p + n / 64 * 64, n % 64);
}

void sn_sha256_hex(sn_sha256 *s, char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    static const unsigned char padding[64] = {0x80};
    const uint64_t n_bits = s->n_bytes * 8;
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)(n_bits >> (56 - 8 * i));
    sn_sha256_add(s, padding, 1 + (119 - s->n_bytes % 64) % 64); /* up to 8 bytes before a block's end */
    sn_sha256_add(s, length, sizeof length);
    for (int i = 0; i < 64; i++) hex[i] = digits[s->h[i / 8] >> (28 - 4 * (i % 8)) & 15];
    hex[64] = '\0';
}

sn_status sn_sha256_file(const char *path, char hex[65], sn_err *err)
{
    unsigned char buf[65536];
    struct stat st;
    sn_sha256 s;
    sn_status status = SN_OK;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* non-blocking: a FIFO without a writer must not hang us */
    if (fd < 0) return sn_fail(err, SN_EIO, "%s: cannot open: %m", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        status = sn_fail(err, SN_EIO, "%s: is not a regular file", path);
        goto done;
    }
    sn_sha256_init(&s);
    do { /* read, not mapped: a file that shrinks meanwhile is an end, not a signal */
        n = read(fd, buf, sizeof buf);
        if (n > 0) sn_sha256_add(&s, buf, (size_t)n);
    } while (n > 0 || (n < 0 && errno == EINTR));
    if (n < 0) {
        status = sn_fail(err, SN_EIO, "%s: cannot read: %m", path);
        goto done;
    }
    sn_sha256_hex(&s, hex);
done:
    close(fd);
    return status;
}
