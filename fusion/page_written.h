/* page_written.h: the same descriptions as text, an element a line, as a model that was not trained for pages can write them: what
 * senses_page_text gives but for its numbers, then "end"; or "none". An automaton over bytes, so that whatever tokens a model has can be held to it.
 *
 *   title: My shop
 *   row
 *   col
 *   text: Two lines
 *   col
 *   button:
 *   end row
 *   wave             a text drawn as waves
 *   end */
#ifndef FUSION_PAGE_WRITTEN_H
#define FUSION_PAGE_WRITTEN_H

#include "page_grammar.h"

typedef struct {                             /* zeros: the start */
    fus_page_state page;                     /* what is written, as tokens */
    uint8_t in;                              /* private: the line's word, behind its colon, or its text */
    uint8_t n;                               /* bytes of the word so far */
    uint32_t words;                          /* those that the word may become, a bit each */
    uint8_t character[4], n_character, want; /* an unfinished UTF-8 character */
    uint8_t n_blank;                         /* in front of the first line */
} fus_written;

typedef struct { /* what a byte made complete: tokens of page_grammar.h, or the bytes of a character beyond ASCII */
    unsigned char tokens[4];
    size_t n;
} fus_written_step;

/* Takes a byte. False: it may not stand here, and *w is as it was. */
bool fus_written_accept(fus_written *w, unsigned char byte, fus_written_step *step);
/* n bytes in one go, or none of them. */
bool fus_written_takes(fus_written w, const char *bytes, size_t n);
/* The description is complete but for its end. */
bool fus_written_may_end(fus_written w);

#endif
