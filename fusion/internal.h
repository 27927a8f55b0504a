/* internal.h: what stands behind the opaque handles of senses.h. */
#ifndef FUSION_INTERNAL_H
#define FUSION_INTERNAL_H

#include "../audio/audio.h"
#include "../core/compute.h"
#include "../core/mem.h"
#include "../text/text.h"
#include "../vision/vision.h"
#include <pthread.h>

struct senses_engine {
    sn_compute *compute;
};

struct senses_image {
    vis_image pixels;
    char partial[SN_PARTIAL_TEXT];
};

struct senses_sound {
    float *samples; /* [n] mono, AUD_RATE_HZ */
    size_t n;
    char partial[SN_PARTIAL_TEXT];
};

/* Of a file: two that are equal in all of it are the same file with the same content. */
typedef struct {
    uint64_t bytes, inode;
    int64_t modified_s, modified_ns, changed_s, changed_ns;
} fus_file_state;

#define FUS_NOTE_MAX 160
#define FUS_NAME_MAX 64
struct senses_encoder { /* exactly one of vision and audio is set */
    char *path;
    senses_engine *engine;
    vis_model *vision;
    aud_model *audio;
    char name[FUS_NAME_MAX]; /* as fus_plain_name has it */
    fus_file_state state;    /* when it was opened */
    senses_cache *cache;     /* NULL: none */
    char identity[65];       /* for the cache: of the file's content */
    pthread_mutex_t lock;    /* of the cache and the note */
    char note[FUS_NOTE_MAX]; /* what the cache did for the last medium */
};

struct senses_text {
    char *path;
    senses_engine *engine;
    txt_model *model;
    pthread_mutex_t lock; /* of trie */
    txt_trie *trie;       /* for grammars; NULL until one is used */
};

struct senses_whisper {
    char *path;
    aud_whisper *model;
};

/* Chooses the next token of an answer by its logits [n], or TXT_NO_ID: the answer is over. */
typedef txt_id (*fus_choose_fn)(void *user, const float *logits, size_t n);
/* From now on fn chooses, and not the sampler and the vocabulary's end tokens. fn NULL: as before. */
void fus_session_set_choice(senses_session *s, fus_choose_fn fn, void *user);

/* False where the file cannot be looked at. */
bool fus_file_state_get(fus_file_state *out, const char *path);
/* The rows of a medium, out [rows, n_embd]: from the encoder's cache, where they are there; otherwise made, and kept there. `tiles` for
 * an image encoder, `sound` for an audio encoder. note: what the cache did, "" without one; NULL: not wanted. */
sn_status fus_encode(senses_encoder *c, const vis_prepared *tiles, const senses_sound *sound, float *out, char note[FUS_NOTE_MAX],
                     sn_err *err);

/* The vocabulary as a tree, made when it is first asked for; it lives as long as t. Sessions of several threads may ask. */
sn_status fus_text_trie(senses_text *t, const txt_trie **out, sn_err *err);

/* A copy of a file name that the handle owns. */
sn_status fus_copy_path(char **out, const char *path, sn_err *err);

#endif
