/* video.h: a video on one timeline: what its key frames show and what is said in it. */
#ifndef TOOLS_VIDEO_H
#define TOOLS_VIDEO_H

#include "output.h"
#include "runtime.h"

typedef struct {
    double start_s, end_s; /* of a picture the same */
    bool speech;
    char *text; /* malloc'ed; of a picture its caption */
} video_event;
typedef struct {
    video_event *events; /* in order of start_s, pictures before speech */
    size_t n, room;
    const char *language; /* of the speech; NULL: there is no sound */
    double duration_s;    /* of the sound */
} video_timeline;

/* Captions come from the image encoder and text model of --mmproj, or from the page reader, which passes over frames without a page;
 * speech from Whisper. *out must be zeroed, and be given to video_timeline_free in any case. False: said on standard error. */
bool video_timeline_make(cli_runtime *rt, const char *path, video_timeline *out);
/* [{"time", "picture"} or {"start", "end", "speech"}, ...] */
cJSON *video_timeline_json(const video_timeline *v);
/* A line each: "[0:12] picture: ..." and "[0:13 - 0:15] speech: ...". */
void video_timeline_text(const video_timeline *v, cli_buffer *out);
void video_timeline_free(video_timeline *v);

/* "1:02:03" or "2:03": whole seconds, rounded down. */
void video_time(char *dst, size_t n, double time_s);

#endif
