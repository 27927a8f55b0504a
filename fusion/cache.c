/* cache.c: encoded media, kept on disk by what went in and what it went through.
 *
 * A key is the SHA-256 of all that decides the rows: the encoder's input, the encoder, the instruction set, the precision, and the build. The input is
 * hashed as it enters the encoder, behind decoding, resizing and cutting: that is exact whatever option or decoder made it, and small
 * beside the work saved (an encoder does some 100 000 operations on a value that is hashed with 50). The number of threads decides
 * nothing. A build is told by a hash of the sources of all rooms that encode and of its compiler: a cache that needed a number to be
 * raised by hand would serve old rows the first time it was forgotten. */
#include "internal.h"

#include "../core/sha256.h"
#include "../core/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_MAX_BYTES ((size_t)1 << 30)
#define WHOLE_FILE_MAX (4 << 20) /* up to here an encoder's file is hashed whole: 3 to 13 ms */
#define SETTLED_S 2              /* the coarsest times that file systems keep */

#ifndef ENCODING_HASH /* built without the Makefile */
#define ENCODING_HASH SENSES_VERSION
#endif

struct senses_cache {
    sn_store *store;
};

senses_status senses_cache_open(senses_cache **out, const char *dir, size_t max_bytes, senses_error *err)
{
    senses_cache *k = calloc(1, sizeof *k);
    if (k == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", dir);
    sn_status st = sn_store_open(&k->store, dir, max_bytes ? max_bytes : DEFAULT_MAX_BYTES, err);
    if (st == SN_OK)
        *out = k;
    else
        free(k);
    return st;
}

void senses_cache_close(senses_cache *k)
{
    if (k == NULL) return;
    sn_store_close(k->store);
    free(k);
}

/* ---- which encoder ---- */

static fus_file_state state_of(const struct stat *st)
{
    return (fus_file_state){.bytes = (uint64_t)st->st_size,
                            .inode = (uint64_t)st->st_ino,
                            .modified_s = (int64_t)st->st_mtim.tv_sec,
                            .modified_ns = (int64_t)st->st_mtim.tv_nsec,
                            .changed_s = (int64_t)st->st_ctim.tv_sec,
                            .changed_ns = (int64_t)st->st_ctim.tv_nsec};
}

bool fus_file_state_get(fus_file_state *out, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) return false;
    *out = state_of(&st);
    return true;
}

static bool is_as_opened(const senses_encoder *c)
{
    fus_file_state now;
    return fus_file_state_get(&now, c->path) && memcmp(&now, &c->state, sizeof now) == 0;
}

static bool hash_part(sn_sha256 *s, int fd, uint64_t at, size_t n)
{
    unsigned char buf[16384];
    while (n > 0) {
        const ssize_t got = pread(fd, buf, n < sizeof buf ? n : sizeof buf, (off_t)at);
        if (got <= 0) return false;
        sn_sha256_add(s, buf, (size_t)got);
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return true;
}

/* Of a large file, without reading a gigabyte each time: its size, its inode, when its content was modified and when anything about it
 * was changed, to the nanosecond; and of the content the beginning, which says what the tensors are, and 64 samples of the rest. The time
 * of change is the one that counts: the system sets it with every write, also where a program puts the time of modification back. On a
 * read-only image, where all times may be one, the samples tell two models apart. What differs without need (a copy, a new name) costs one
 * encoding more. The device is left out: its number may change with a restart, and no two devices give one inode the same time of change
 * by chance. */
static bool hash_large(sn_sha256 *s, int fd, const fus_file_state *f)
{
    enum { HEAD = 1 << 20, SAMPLE = 4096, N_SAMPLE = 64 };
    bool good = hash_part(s, fd, 0, HEAD);
    sn_sha256_add(s, f, sizeof *f);
    for (uint64_t i = 1; i <= N_SAMPLE && good; i++) good = hash_part(s, fd, HEAD + (f->bytes - HEAD - SAMPLE) / N_SAMPLE * i, SAMPLE);
    return good;
}

static sn_status identify(senses_encoder *c, sn_err *err)
{
    sn_sha256 s;
    const fus_file_state *f = &c->state;
    const bool whole = f->bytes <= WHOLE_FILE_MAX;
    if (!whole && f->changed_s > (int64_t)time(NULL) - SETTLED_S)
        return sn_fail(err, SN_EUSAGE, "%s: has changed just now, and might again without a trace", c->path);
    const int fd = open(c->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return sn_fail(err, SN_EIO, "%s: cannot open: %m", c->path);
    sn_sha256_init(&s);
    sn_sha256_add(&s, whole ? "whole" : "large", 5);
    const bool read = whole ? hash_part(&s, fd, 0, (size_t)f->bytes) : hash_large(&s, fd, f);
    close(fd);
    if (!read) return sn_fail(err, SN_EIO, "%s: cannot read", c->path);
    sn_sha256_hex(&s, c->identity);
    return is_as_opened(c) ? SN_OK : sn_fail(err, SN_EUSAGE, "%s: has changed since it was opened", c->path);
}

senses_status senses_encoder_set_cache(senses_encoder *c, senses_cache *k, senses_error *err)
{
    sn_status st = k ? identify(c, err) : SN_OK;
    c->note[0] = '\0';
    c->cache = st == SN_OK ? k : NULL;
    return st;
}

const char *senses_encoder_cache_note(const senses_encoder *c)
{
    return c->note;
}

/* ---- which medium ---- */

static void add_text(sn_sha256 *s, const char *text)
{
    sn_sha256_add(s, text, strlen(text) + 1);
}

static void add_number(sn_sha256 *s, uint64_t x)
{
    sn_sha256_add(s, &x, sizeof x);
}

/* All that vis_model_encode reads: families may make rows of where a tile lies, too. */
static void add_tiles(sn_sha256 *s, const vis_prepared *p)
{
    const uint64_t layout[] = {p->n_tiles, p->n_tok, p->grid_w, p->grid_h, p->overview, p->src_w, p->src_h};
    sn_sha256_add(s, layout, sizeof layout);
    for (size_t i = 0; i < p->n_tiles; i++) {
        const vis_tile *t = &p->tiles[i];
        const uint64_t tile[] = {t->n_tok, t->map_w, t->map_h, p->tile_w[i], p->tile_h[i]};
        sn_sha256_add(s, tile, sizeof tile);
        sn_sha256_add(s, p->pixels[i], 3 * p->tile_w[i] * p->tile_h[i] * sizeof(float));
    }
}

static void key_of(char key[65], const senses_encoder *c, const vis_prepared *tiles, const senses_sound *sound)
{
    sn_sha256 s;
    sn_sha256_init(&s);
    add_text(&s, "senses: encoded media 1");
    add_text(&s, ENCODING_HASH);
#ifdef __VERSION__
    add_text(&s, __VERSION__);
#endif
    add_text(&s, senses_engine_isa(c->engine));
    add_text(&s, sn_compute_coarse(c->engine->compute) ? "int8" : "f32");
    add_text(&s, c->identity);
    add_text(&s, tiles ? "image" : "audio");
    if (tiles) {
        add_tiles(&s, tiles);
    } else {
        add_number(&s, sound->n);
        sn_sha256_add(&s, sound->samples, sound->n * sizeof(float));
    }
    sn_sha256_hex(&s, key);
}

/* ---- encoding ---- */

static sn_status encode(senses_encoder *c, const vis_prepared *tiles, const senses_sound *sound, float *out, sn_err *err)
{
    return tiles ? vis_model_encode(c->vision, tiles, out, err) : aud_model_encode(c->audio, sound->samples, sound->n, out, err);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A failure to keep is no failure: it is noted. */
static void keep(senses_encoder *c, const char *key, size_t rows, const float *data, double seconds)
{
    sn_err why = {0};
    sn_status st = is_as_opened(c) ? sn_store_put(c->cache->store, key, rows, senses_encoder_n_embd(c), data, &why)
                                   : sn_fail(&why, SN_EUSAGE, "the encoder's file has changed");
    if (st == SN_OK)
        snprintf(c->note, sizeof c->note, "cache miss: encoded in %.2f s and kept", seconds);
    else
        snprintf(c->note, sizeof c->note, "cache miss: encoded in %.2f s, not kept (%.90s)", seconds, why.msg);
}

static sn_status encode_through(senses_encoder *c, const vis_prepared *tiles, const senses_sound *sound, float *out, sn_err *err)
{
    const size_t rows = tiles ? tiles->n_tok : aud_model_n_tok(c->audio, sound->n);
    char key[65];
    c->note[0] = '\0';
    if (c->cache == NULL) return encode(c, tiles, sound, out, err);
    if (!is_as_opened(c)) { /* what is mapped may be the new content */
        snprintf(c->note, sizeof c->note, "cache off: the encoder's file has changed");
        return encode(c, tiles, sound, out, err);
    }
    key_of(key, c, tiles, sound);
    if (sn_store_get(c->cache->store, key, rows, senses_encoder_n_embd(c), out)) {
        snprintf(c->note, sizeof c->note, "cache hit: not encoded again");
        return SN_OK;
    }
    const double start_s = now_s();
    sn_status st = encode(c, tiles, sound, out, err);
    if (st == SN_OK) keep(c, key, rows, out, now_s() - start_s);
    return st;
}

sn_status fus_encode(senses_encoder *c, const vis_prepared *tiles, const senses_sound *sound, float *out, char note[FUS_NOTE_MAX],
                     sn_err *err)
{
    pthread_mutex_lock(&c->lock);
    sn_status st = encode_through(c, tiles, sound, out, err);
    if (note != NULL) memcpy(note, c->note, FUS_NOTE_MAX);
    pthread_mutex_unlock(&c->lock);
    return st;
}
