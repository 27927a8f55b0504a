/* video.c: which frames of a film tell it: the first of each scene, within a budget. */
#include "video.h"
#include "../core/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
