/* batch_sidecar.h: results beside their files: photo.jpg.txt, talk.mp3.srt. Never over a file that is there, unless --overwrite, and never
 * over a picture, a sound or a video. */
#ifndef TOOLS_BATCH_SIDECAR_H
#define TOOLS_BATCH_SIDECAR_H

#include "batch_task.h"

typedef enum { SIDECAR_TXT = 1, SIDECAR_JSON = 2, SIDECAR_SRT = 4, SIDECAR_XMP = 8, SIDECAR_USUAL = 16 } sidecar_formats;

/* A --sidecar list; 0: the list names what there is not. */
unsigned batch_sidecar_formats(const char *list);

typedef enum {
    SIDECAR_DONE,
    SIDECAR_FAILED, /* this file's cannot be written: *problem, malloc'ed, says why */
    SIDECAR_FULL    /* nor could others: no room, or a disk that is not written to. The same. */
} sidecar_status;
sidecar_status batch_sidecar_write(const cli_options *o, unsigned formats, const char *path, const batch_result *r, const cJSON *record,
                                   char **problem);

#endif
