/* transcript.h: segments of speech as txt, srt, vtt, csv, lrc or JSON. Cues come out in order, never empty, never overlapping. */
#ifndef TOOLS_TRANSCRIPT_H
#define TOOLS_TRANSCRIPT_H

#include "output.h"

typedef struct transcript transcript;

/* One way to write; the functions add to t->out. */
typedef struct {
    const char *name;
    void (*begin)(transcript *t);
    void (*segment)(transcript *t, const char *text, const senses_segment *s);
} transcript_format;

struct transcript {
    const transcript_format *format;
    cli_buffer out;  /* written so far; the owner takes it out and sets out.n = 0 */
    cJSON *json;     /* the object of a JSON transcript, owned until taken; NULL for other formats */
    cli_buffer text; /* all text, for JSON */
    size_t n_cues;
    long long start_ms, end_ms; /* of the present cue; end_ms is where the next may begin */
};

/* NULL when there is no such format. */
const transcript_format *transcript_find(const char *name);
void transcript_begin(transcript *t, const transcript_format *format);
/* Segments without text are passed over. */
void transcript_segment(transcript *t, const senses_segment *s);
void transcript_free(transcript *t);

#endif
