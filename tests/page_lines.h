/* page_lines.h: pages in words, for tests: an element a line. */
#ifndef TESTS_PAGE_LINES_H
#define TESTS_PAGE_LINES_H

#include <senses.h>

/* Cuts `lines` up: "button: Show punchline", "wave", "nav", "/nav", "row", "col", "card", "/row", "table", "tr", "cell: 1", "/table".
 * The items point into it; free(items). Ends the program on a line that is none. */
senses_page page_from_lines(char *lines);

#endif
