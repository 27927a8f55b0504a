/* page.h: pages read from pictures: the eyes that need no vision model. */
#ifndef TOOLS_PAGE_H
#define TOOLS_PAGE_H

#include "runtime.h"

/* What stands on the picture that was loaded from `path`, by runtime_reader; free with senses_page_free. *n_tokens: how many it took
 * to write it down. False: said on standard error, and so is that there is no page to see. */
bool page_read(cli_runtime *rt, const char *path, const senses_image *img, senses_page *page, size_t *n_tokens);

/* The words of a picture that is loaded; *words stays NULL, with nothing said, where there is no page to see. malloc'ed. False: said on
 * standard error. */
bool page_words_of(cli_runtime *rt, const char *name, const senses_image *img, char **words, size_t *n_tokens);

/* The same from a file and in words, for people and for a text decoder, which gets them as data. Says, once a run, what the default
 * reader can see. malloc'ed; NULL: said on standard error. */
char *page_words(cli_runtime *rt, const char *path, size_t *n_tokens);

#endif
