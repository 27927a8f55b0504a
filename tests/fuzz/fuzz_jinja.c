/* Chat templates: a stranger's program and a message, cut at the first byte 0. What the message says never stands in framing. */
#include "../../text/text.h"
#include "fuzz.h"

#include <time.h>

/* Put in front of every message: no program writes it by itself. */
#define SIGN "\x02q7Zw\x03#kV9\x04"

static void check(const txt_parts *parts, const char *program, size_t n)
{
    if (memmem(program, n, "q7Zw", 4) != NULL) return;
    for (size_t i = 0; i < parts->n; i++)
        FUZZ_MUST(!parts->parts[i].framing || memmem(parts->parts[i].text, parts->parts[i].n, SIGN, strlen(SIGN)) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct tm today = {.tm_year = 126, .tm_mon = 6, .tm_mday = 30, .tm_wday = 4, .tm_yday = 210};
    const txt_jinja_setting with = {"<s>", "</s>", n % 2 ? &today : NULL, n % 3 == 0};
    if (n > 8192) return 0;
    const uint8_t *zero = n ? memchr(data, 0, n) : NULL;
    const size_t n_program = zero != NULL ? (size_t)(zero - data) : n, n_text = n - n_program;
    char *text = malloc(strlen(SIGN) + n_text + 1);
    memcpy(text, SIGN, strlen(SIGN));
    if (n_text > 0) memcpy(text + strlen(SIGN), zero + 1, n_text - 1);
    const size_t n_message = strlen(SIGN) + (n_text ? n_text - 1 : 0);
    const txt_message m[] = {
        {TXT_SYSTEM, text, n_message}, {TXT_USER, text, n_message}, {TXT_ASSISTANT, text, n_message}, {TXT_USER, "", 0}};
    txt_jinja *j = NULL;
    sn_err err = {0};
    sn_status st = txt_jinja_open(&j, (const char *)data, n_program, &err);
    fuzz_said(st, &err);
    for (size_t k = 1; st == SN_OK && k <= 4; k++) {
        txt_parts parts = {0};
        fuzz_said(txt_jinja_render(j, m, k, k & 1, &with, &parts, &err), &err);
        check(&parts, (const char *)data, n_program);
        txt_parts_free(&parts);
    }
    txt_jinja_close(j);
    free(text);
    return 0;
}
