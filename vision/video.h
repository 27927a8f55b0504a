/* video.h: what the decoder of films and the choice of key frames share. Private to vision/. */
#ifndef VISION_VIDEO_H
#define VISION_VIDEO_H

#include "vision.h"

#define VIS_LOOK_SIDE 16
#define VIS_LOOK_CUT 6.0 /* mean difference of samples (of 255) from which on a look is another scene: drawn pages differ little */

typedef struct {                                          /* a frame, seen from afar */
    double t_s;                                           /* from the film's start; does not fall */
    size_t ordinal;                                       /* of the frames that its pass decodes */
    unsigned char rgb[VIS_LOOK_SIDE * VIS_LOOK_SIDE * 3]; /* a cut may keep the brightness and change the colour */
} vis_look;

/* Mean absolute difference of samples, 0..255. */
double vis_look_difference(const vis_look *a, const vis_look *b);
/* Chooses at most max of n looks, in order, into picks [max]: the first of every scene; of too many scenes the longest; and where there
 * are too few, more of those that are long, evenly spaced. end_s: of the last look's scene. Returns how many; 0 when out of memory. */
size_t vis_video_choose(const vis_look *looks, size_t n, double end_s, size_t max, size_t *picks);

#endif
