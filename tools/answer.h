/* answer.h: one prompt, one answer: what describe, ask and chat have in common. */
#ifndef TOOLS_ANSWER_H
#define TOOLS_ANSWER_H

#include "media.h"
#include "output.h"

enum { ANSWER_TOKENS = 512 }; /* -n where it is not given */

typedef struct {
    cli_buffer text;  /* without white space in front, unless the prompt is raw */
    cli_buffer notes; /* what senses_session_notes said of the media, in lines */
    int32_t *ids;
    size_t n_ids;
    size_t n_proposed, n_accepted; /* tokens of --draft */
    double seconds;
    bool stopped;   /* by the user */
    bool line_open; /* what was streamed does not end a line */
} cli_answer;

/* Asks; with `stream` the text goes to standard output while it comes, and ends with a line. *a must be zeroed. EXIT_DONE, or EXIT_FAILED when it
 * was said on standard error what went wrong. answer_free in any case. */
int answer_get(cli_answer *a, cli_runtime *rt, senses_session *s, const char *prompt, const cli_media *media, bool stream);
void answer_free(cli_answer *a);

/* The field "media": what became of the media of the prompt, and whether the cache had them, as strings. None without media. */
void answer_add_media(cJSON *object, const cli_answer *a);

/* With --draft the fields "draft_proposed" and "draft_accepted": tokens. */
void answer_add_draft(cJSON *object, const cli_options *o, const cli_answer *a);

/* A result as JSON, with the fields that every result has: file, type, task and model (null where there is none). What follows
 * is text or error, and at last seconds. */
cJSON *answer_json(const char *file, const char *type, const char *task, const char *model);

#endif
