/* media.h: the media of a prompt, from --image, --audio, --video and --text, in the order given. */
#ifndef TOOLS_MEDIA_H
#define TOOLS_MEDIA_H

#include "runtime.h"

typedef struct {
    senses_medium *list;
    size_t n, room;
    size_t *parts; /* [n_media]: entries of the list that each medium became: a video is several */
    size_t n_media;
} cli_media;

/* Loads one medium behind the others. A recording goes in as it is when there is an audio encoder; without one it is transcribed,
 * and the transcript goes in as data; which of the two is said. So do pictures, and the page that is read in one without an image
 * encoder. A video becomes its key frames, each behind its time, and its sound. False: said on standard error, the caller gives *m up. */
bool media_add(cli_media *m, cli_runtime *rt, const cli_medium *medium);
/* All of the command line. */
bool media_load(cli_media *m, cli_runtime *rt);
/* The prompt with a marker for each entry of the list, where it has one for each medium. malloc'ed; NULL: said, it has too many. */
char *media_prompt(const cli_media *m, const char *prompt);
void media_clear(cli_media *m);
void media_free(cli_media *m);

/* A whole file of text, "-" for standard input: UTF-8 without NUL, at most 64 MB, a byte order mark taken off. malloc'ed and
 * NUL-terminated; NULL: said on standard error. */
char *media_read_text(const char *path, size_t *n);

#endif
