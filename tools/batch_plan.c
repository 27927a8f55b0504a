#include "batch_plan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "command.h"
#include "progress.h"

enum { WINDOW_S = 30, TOKENS_A_WINDOW = 90 }; /* speech at a usual pace: 2.5 words a second, 1.2 tokens a word */

typedef struct {
    size_t n_kind[BATCH_KINDS], n_skipped, n_unreadable, n_unknown_length;
    double heard_s; /* of all sounds that say how long they are */
    char *picture;  /* the first that could be read: the example */
    double picture_s;
    size_t picture_tokens;
} plan;

static void count(plan *p, const batch_run *b, const batch_walk *w)
{
    senses_media_kind_t kind = SENSES_MEDIA_NONE;
    double seconds = -1;
    const char *path = w->path.data;
    if (w->error != NULL || senses_media_kind(path, &kind, NULL) != SN_OK) {
        p->n_unreadable++;
        return;
    }
    if (batch_task(b->o, kind) == NULL) {
        p->n_skipped++;
        return;
    }
    p->n_kind[kind]++;
    if (kind == SENSES_MEDIA_IMAGE) return;
    if (senses_sound_length(path, &seconds, NULL) == SN_OK && seconds >= 0)
        p->heard_s += seconds;
    else
        p->n_unknown_length++;
}

/* Does the first picture that can be done: the others are taken to be like it. */
static bool try_picture(plan *p, batch_run *b)
{
    batch_walk w;
    bool good = batch_walk_open(&w, b->o, b->shard, b->n_shards);
    while (good && p->picture == NULL && batch_walk_next(&w)) {
        senses_media_kind_t kind = SENSES_MEDIA_NONE;
        batch_result r = {.model = NULL};
        if (w.error != NULL || senses_media_kind(w.path.data, &kind, NULL) != SN_OK || kind != SENSES_MEDIA_IMAGE) continue;
        double start_s = clock_s();
        if (batch_do(&r, &b->rt, kind, w.path.data)) {
            p->picture = must(strdup(w.path.data));
            p->picture_s = clock_s() - start_s;
            p->picture_tokens = r.n_tokens;
        }
        batch_result_free(&r);
    }
    batch_walk_close(&w);
    return good;
}

static double most_mib(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (double)u.ru_maxrss / 1024 : 0;
}

static void say_pictures(const plan *p)
{
    size_t n = p->n_kind[SENSES_MEDIA_IMAGE];
    if (n == 0) return;
    if (p->picture == NULL)
        out_line("pictures: %zu; none of them could be done, so there is no estimate", n);
    else
        out_line("pictures: %zu, about %.0f tokens and %.2f hours, if all are like %s (%zu tokens, %.1f s on this machine)", n,
                 (double)n * (double)p->picture_tokens, (double)n * p->picture_s / 3600, p->picture, p->picture_tokens, p->picture_s);
}

static bool say_sounds(const plan *p, batch_run *b, double *hours)
{
    senses_error err = {0};
    size_t n = p->n_kind[SENSES_MEDIA_SOUND] + p->n_kind[SENSES_MEDIA_VIDEO];
    double encode_s = 0, decode_s = 0, windows = p->heard_s / WINDOW_S + (double)n;
    if (n == 0) return true;
    if (b->rt.whisper == NULL) {
        out_line("sounds: %zu, %.2f hours long", n, p->heard_s / 3600);
        return true;
    }
    if (senses_bench_whisper(b->rt.whisper, TOKENS_A_WINDOW, &encode_s, &decode_s, &err) != SN_OK) {
        diag_error("%s", err.msg);
        return false;
    }
    *hours = windows * (encode_s + decode_s) / 3600;
    out_line("sounds: %zu (%zu of them videos), %.2f hours long, about %.0f tokens and %.2f hours, if a window of %d s has %d tokens "
             "(%.2f s on this machine)",
             n, p->n_kind[SENSES_MEDIA_VIDEO], p->heard_s / 3600, windows * TOKENS_A_WINDOW, *hours, WINDOW_S, TOKENS_A_WINDOW,
             encode_s + decode_s);
    if (p->n_unknown_length > 0) out_line("sounds: %zu of them do not say how long they are, and are not in that", p->n_unknown_length);
    return true;
}

int batch_plan(batch_run *b)
{
    plan p = {.picture = NULL};
    batch_walk w;
    double hours = 0;
    if (batch_walk_once(b->o)) return diag_usage("batch", "batch: --dry-run reads the list twice: --files-from must be a file");
    if (!batch_open_models(&b->rt) || !batch_walk_open(&w, b->o, b->shard, b->n_shards)) return EXIT_FAILED;
    while (batch_walk_next(&w)) count(&p, b, &w);
    p.n_skipped += w.n_special + w.n_again;
    bool good = !w.list_failed;
    batch_walk_close(&w);
    if (good && p.n_kind[SENSES_MEDIA_IMAGE] > 0) good = try_picture(&p, b);
    if (good) {
        say_pictures(&p);
        good = say_sounds(&p, b, &hours);
    }
    if (good) {
        hours += (double)p.n_kind[SENSES_MEDIA_IMAGE] * p.picture_s / 3600;
        out_line("other files: %zu skipped, %zu cannot be read", p.n_skipped, p.n_unreadable);
        out_line("in all: about %.2f hours; memory: %.0f MiB at most so far, models included", hours, most_mib());
    }
    free(p.picture);
    return good ? EXIT_DONE : EXIT_FAILED;
}
