/* page_html_main.c: a page in words, an element a line ("button: Show punchline"; "nav", "/nav" and so on alone), from standard
 * input to HTML on standard output. For the tests in a browser, and to look at pages.
 *   page_html_main [plain|sketchy|modern] [TITLE] */
#include "page_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    static char lines[1 << 20];
    static const char *const styles[] = {"plain", "sketchy", "modern"};
    senses_page_html_params params = {.style = SENSES_STYLE_PLAIN, .title = argc > 2 ? argv[2] : NULL};
    senses_error err = {0};
    char *html = NULL;
    size_t n = fread(lines, 1, sizeof lines - 1, stdin);
    lines[n] = '\0';
    for (int i = 0; argc > 1 && i < 3; i++)
        if (strcmp(argv[1], styles[i]) == 0) params.style = (senses_page_style)i;
    senses_page page = page_from_lines(lines);
    int status = senses_page_html(&page, &params, &html, &err) != SN_OK;
    if (status != 0)
        fprintf(stderr, "%s\n", err.msg);
    else
        fputs(html, stdout);
    free(html);
    free(page.items);
    return status;
}
