/* describe.h: the description of one picture, by a model that was given or by the page reader. */
#ifndef TOOLS_DESCRIBE_H
#define TOOLS_DESCRIBE_H

#include "answer.h"

/* What the picture shows, in words. */
typedef struct {
    cli_answer answer;
    const char *model; /* who says so; borrowed from the runtime */
} description;

/* What all pictures need: missing, it is said once, for `file`. */
bool describe_open(cli_runtime *rt, const char *file);
/* Whether nothing was said that only a text model can do: then the page reader describes. */
bool describe_reader_is_enough(const cli_options *o);
/* One picture on a fresh session: its description does not depend on the pictures before it. With `stream` it goes to standard
 * output as well. *d must be zeroed; answer_free(&d->answer) in any case. EXIT_FAILED: said on standard error. */
int describe_picture(description *d, cli_runtime *rt, const char *path, bool stream);

#endif
