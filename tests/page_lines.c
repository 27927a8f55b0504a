#include "page_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *word;
    senses_page_tag tag;
} tags[] = {
    {"title", SENSES_PAGE_TITLE},   {"heading", SENSES_PAGE_HEADING}, {"text", SENSES_PAGE_TEXT},   {"wave", SENSES_PAGE_TEXT},
    {"button", SENSES_PAGE_BUTTON}, {"link", SENSES_PAGE_LINK},       {"input", SENSES_PAGE_INPUT}, {"area", SENSES_PAGE_AREA},
    {"select", SENSES_PAGE_SELECT}, {"check", SENSES_PAGE_CHECK},     {"radio", SENSES_PAGE_RADIO}, {"image", SENSES_PAGE_IMAGE},
    {"item", SENSES_PAGE_ITEM},     {"footer", SENSES_PAGE_FOOTER},   {"cell", SENSES_PAGE_CELL},   {"nav", SENSES_PAGE_NAV},
    {"/nav", SENSES_PAGE_NAV_END},  {"row", SENSES_PAGE_ROW},         {"col", SENSES_PAGE_COL},     {"card", SENSES_PAGE_CARD},
    {"/row", SENSES_PAGE_ROW_END},  {"table", SENSES_PAGE_TABLE},     {"tr", SENSES_PAGE_TR},       {"/table", SENSES_PAGE_TABLE_END},
};

static senses_page_item item_of(char *line)
{
    size_t n = strcspn(line, ":");
    char *text = line + n + (line[n] == ':');
    text += strspn(text, " ");
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        if (strlen(tags[i].word) == n && strncmp(tags[i].word, line, n) == 0)
            return (senses_page_item){tags[i].tag, text, strcmp(tags[i].word, "wave") == 0};
    fprintf(stderr, "no element of a page: %s\n", line);
    exit(1);
}

senses_page page_from_lines(char *lines)
{
    senses_page page = {.items = calloc(strlen(lines) + 1, sizeof *page.items)};
    if (page.items == NULL) exit(1);
    for (char *line = strtok(lines, "\n"); line != NULL; line = strtok(NULL, "\n")) page.items[page.n++] = item_of(line);
    return page;
}
