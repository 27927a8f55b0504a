/* video.c: which frames of a film tell it: the first of each scene, within a budget; and how they come from the worker that decodes. */
#include "video.h"
#include "../core/mem.h"
#include "../core/worker.h"
#include "decode.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPACING_S 10.0 /* frames of one scene are at least so far apart */

double vis_look_difference(const vis_look *a, const vis_look *b)
{
    unsigned sum = 0;

    for (size_t i = 0; i < sizeof a->rgb; i++) sum += (unsigned)abs(a->rgb[i] - b->rgb[i]);
    return (double)sum / sizeof a->rgb;
}

/* In a film that moves much a scene must differ by more: three times what its quieter looks do. Where all of them are cuts that says
 * nothing: hence the limit. */
static double threshold(const vis_look *looks, size_t n)
{
    size_t count[256] = {0}, seen = 0, quiet = 0;

    for (size_t i = 1; i < n; i++) count[(size_t)vis_look_difference(&looks[i - 1], &looks[i])]++;
    while (quiet < 255 && (seen += count[quiet]) * 4 < n) quiet++;
    return fmin(fmax(3.0 * (double)quiet, VIS_LOOK_CUT), 4 * VIS_LOOK_CUT);
}

/* The look nearest to t among from..to-1. */
static size_t nearest(const vis_look *looks, size_t from, size_t to, double t)
{
    size_t best = from;

    for (size_t i = from; i < to; i++)
        if (fabs(looks[i].t_s - t) < fabs(looks[best].t_s - t)) best = i;
    return best;
}

static double scene_end(const vis_look *looks, const size_t *first, size_t n_scenes, size_t i, double end_s)
{
    return i + 1 < n_scenes ? looks[first[i + 1]].t_s : end_s;
}

/* Joins the shortest scenes to those before them until max are left. */
static size_t join_scenes(const vis_look *looks, size_t *first, size_t n_scenes, double end_s, size_t max)
{
    for (; n_scenes > max; n_scenes--) {
        size_t least = 1;
        for (size_t i = 1; i < n_scenes; i++)
            if (scene_end(looks, first, n_scenes, i, end_s) - looks[first[i]].t_s <
                scene_end(looks, first, n_scenes, least, end_s) - looks[first[least]].t_s)
                least = i;
        memmove(first + least, first + least + 1, (n_scenes - least - 1) * sizeof *first);
    }
    return n_scenes;
}

/* Frames of each scene: one, and what is left of the budget to where they are farthest apart. */
static void share(const vis_look *looks, const size_t *first, size_t n_scenes, double end_s, size_t max, size_t *shares)
{
    for (size_t i = 0; i < n_scenes; i++) shares[i] = 1;
    for (size_t left = max - n_scenes; left > 0; left--) {
        size_t widest = 0;
        double most = 0;
        for (size_t i = 0; i < n_scenes; i++) {
            const double apart = (scene_end(looks, first, n_scenes, i, end_s) - looks[first[i]].t_s) / (double)(shares[i] + 1);
            if (apart > most) {
                most = apart;
                widest = i;
            }
        }
        if (most < SPACING_S) return;
        shares[widest]++;
    }
}

size_t vis_video_choose(const vis_look *looks, size_t n, double end_s, size_t max, size_t *picks)
{
    const double cut = threshold(looks, n);
    size_t *first = n && max ? sn_alloc(n + max, sizeof *first) : NULL, *shares = first ? first + n : NULL;
    size_t n_scenes = 1, n_picks = 0;

    if (!first) return 0;
    first[0] = 0;
    for (size_t i = 1; i < n; i++)
        if (vis_look_difference(&looks[first[n_scenes - 1]], &looks[i]) >= cut) first[n_scenes++] = i;
    n_scenes = join_scenes(looks, first, n_scenes, end_s, max);
    share(looks, first, n_scenes, end_s, max, shares);
    for (size_t i = 0; i < n_scenes; i++) {
        const size_t stop = i + 1 < n_scenes ? first[i + 1] : n;
        const double start = looks[first[i]].t_s, length = scene_end(looks, first, n_scenes, i, end_s) - start;
        for (size_t k = 0; k < shares[i]; k++) {
            const size_t pick = nearest(looks, first[i], stop, start + length * (double)k / (double)shares[i]);
            if (n_picks == 0 || pick > picks[n_picks - 1]) picks[n_picks++] = pick;
        }
    }
    sn_free(first);
    return n_picks;
}

/* ---- decoding in a worker: a byte (whether there is sound), and of each frame a head and its pixels ---- */

typedef struct {
    double t_s;
    size_t w, h;
    sn_partial partial; /* of the film */
} frame_head;

typedef struct {
    size_t size; /* of the file */
    vis_video_params params;
} video_job;

typedef struct { /* in the worker */
    sn_worker_out *out;
    bool sound, said;
    sn_err *err;
} sender;

static sn_status say_sound(sender *s)
{
    const unsigned char sound = s->sound;

    if (s->said) return SN_OK;
    s->said = true;
    return sn_worker_send(s->out, &sound, 1, s->err);
}

static bool send_frame(void *user, vis_image *img, double t_s)
{
    sender *s = user;
    const frame_head head = {t_s, img->w, img->h, img->partial};
    sn_status st = say_sound(s);

    if (st == SN_OK) st = sn_worker_send(s->out, &head, sizeof head, s->err);
    if (st == SN_OK) st = sn_worker_send(s->out, img->rgb, img->w * img->h * 3, s->err);
    vis_image_free(img);
    return st == SN_OK;
}

static sn_status run_job(sn_worker_out *out, const void *arg, sn_err *err)
{
    const video_job *j = arg;
    sender s = {.out = out, .err = err};
    const sn_status st = vis_video_read(sn_worker_input(out), j->size, &j->params, send_frame, &s, &s.sound, err);

    return st == SN_OK ? say_sound(&s) : st;
}

static sn_status cut_off(sn_err *err)
{
    return sn_fail(err, SN_EFORMAT, "the decoder gave something that is no frame");
}

/* The next frame; *end: there is none. */
static sn_status take_frame(sn_worker *w, vis_image *img, double *t_s, size_t max_pixels, bool *end, sn_err *err)
{
    frame_head head;
    size_t got;
    sn_status st = sn_worker_read(w, &head, sizeof head, &got, err);

    *end = st == SN_OK && got == 0;
    if (st != SN_OK || *end) return st;
    if (got != sizeof head || !isfinite(head.t_s)) return cut_off(err);
    if ((st = vis_check_size(head.w, head.h, max_pixels, err)) != SN_OK || (st = vis_image_new(img, head.w, head.h, err)) != SN_OK)
        return st;
    st = sn_worker_read(w, img->rgb, head.w * head.h * 3, &got, err);
    if (st == SN_OK && got != head.w * head.h * 3) st = cut_off(err);
    if (st != SN_OK) vis_image_free(img);
    *t_s = head.t_s;
    img->partial = head.partial;
    return st;
}

static sn_status read_apart(int fd, size_t size, const vis_video_params *p, vis_frame_fn fn, void *user, bool *sound, sn_err *err)
{
    const video_job j = {size, *p};
    const sn_worker_limits limits = {.fd = fd, .ready = vis_av_ready, .wait_s = p->timeout_s};
    const size_t max_pixels = p->max_pixels ? p->max_pixels : VIS_MAX_PIXELS;
    unsigned char heard = 0;
    double t_s = 0;
    size_t got = 0;
    vis_image img;
    sn_worker *w = NULL;
    bool end = false;
    sn_status st = sn_worker_start(&w, &limits, run_job, &j, sizeof j, err);

    if (st == SN_OK) st = sn_worker_read(w, &heard, 1, &got, err);
    if (st == SN_OK && got != 1) st = cut_off(err);
    *sound = heard != 0;
    while (st == SN_OK && (st = take_frame(w, &img, &t_s, max_pixels, &end, err)) == SN_OK && !end)
        if (!fn(user, &img, t_s)) st = sn_fail(err, SN_ECANCELLED, "stopped");
    sn_worker_close(w);
    return st;
}

sn_status vis_video_load(const char *path, const vis_video_params *p, vis_frame_fn fn, void *user, bool *sound, sn_err *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    sn_status st;

    if (fd < 0) return sn_fail(err, SN_EIO, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        st = sn_fail(err, SN_EIO, "not a regular file: a video is read more than once");
    else if (p->no_sandbox)
        st = vis_video_read(fd, (size_t)info.st_size, p, fn, user, sound, err);
    else
        st = read_apart(fd, (size_t)info.st_size, p, fn, user, sound, err);
    close(fd);
    return st == SN_OK ? SN_OK : sn_wrap(err, "%s", path);
}
