#include "page.h"

#include <stdio.h>
#include <string.h>

#include "interrupt.h"
#include "output.h"
#include "progress.h"

typedef struct {
    cli_runtime *rt;
    cli_progress progress;
    size_t *n_tokens;
} reading;

static bool on_token(void *user, size_t n_tokens)
{
    reading *r = user;
    *r->n_tokens = n_tokens;
    progress_tokens(&r->progress, n_tokens);
    return runtime_go_on(r->rt);
}

/* A vision model that was given needs no advice to bring one. */
static void say_no_page(cli_runtime *rt, const char *path)
{
    senses_error err = {.code = SN_OK};
    const char *name = input_name(path);
    if (runtime_encoder(rt, SENSES_IMAGE) != NULL)
        snprintf(err.msg, sizeof err.msg, "%s: no page to see in this picture", name);
    else if (rt->text != NULL)
        snprintf(err.msg, sizeof err.msg,
                 "%s: no page to see in this picture, and %s is a text model that sees no photographs; bring a vision model: "
                 "-m FILE --mmproj FILE",
                 name, senses_text_path(rt->text));
    else
        snprintf(err.msg, sizeof err.msg, "%s: no page to see in this picture; for photographs bring a vision model: -m FILE --mmproj FILE",
                 name);
    runtime_say(rt, &err);
}

/* Whether it was read, and if it was only to find that there is no page: page->n is 0 then. */
static bool read_any(cli_runtime *rt, const char *path, const senses_image *img, senses_page *page, size_t *n_tokens)
{
    senses_error err = {0};
    senses_reader *reader = runtime_reader(rt);
    reading r = {.rt = rt, .n_tokens = n_tokens};
    *n_tokens = 0;
    if (reader == NULL) return false;
    progress_start(&r.progress, rt->o, path_base(input_name(path)));
    senses_status status = senses_reader_read(reader, img, on_token, &r, page, &err);
    progress_clear(&r.progress);
    if (status == SN_ECANCELLED)
        runtime_say_stopped(rt, path);
    else if (status != SN_OK)
        runtime_say(rt, &err);
    else if (page->cut)
        diag_note(rt->o, "%s: only the beginning of the page was read", input_name(path));
    rt->partial = rt->partial || (status == SN_OK && page->cut);
    return status == SN_OK;
}

bool page_read(cli_runtime *rt, const char *path, const senses_image *img, senses_page *page, size_t *n_tokens)
{
    if (!read_any(rt, path, img, page, n_tokens)) return false;
    if (page->n == 0) say_no_page(rt, path);
    return page->n > 0;
}

/* Behind the first page that was read: the line for a picture that shows none says as much. */
static void note_eyes(cli_runtime *rt)
{
    if (rt->page_text == NULL || rt->reader_noted) return;
    rt->reader_noted = true;
    diag_note(rt->o,
              "seen by the page reader (%s): it reads drawn pages, signs and documents; for photographs give a vision model with -m and "
              "--mmproj",
              path_base(runtime_reader_path(rt)));
}

bool page_words_of(cli_runtime *rt, const char *name, const senses_image *img, char **words, size_t *n_tokens)
{
    senses_error err = {0};
    senses_page page = {.items = NULL};
    bool good = read_any(rt, name, img, &page, n_tokens);
    if (good && page.n > 0) {
        note_eyes(rt);
        good = senses_page_text(&page, words, &err) == SN_OK;
        if (!good) runtime_say(rt, &err);
    }
    senses_page_free(&page);
    return good;
}

char *page_words(cli_runtime *rt, const char *path, size_t *n_tokens)
{
    senses_error err = {0};
    char *words = NULL;
    if (rt->o->image_fit != NULL) { /* an encoder was given, but one that hears */
        snprintf(err.msg, sizeof err.msg, "%s: --image-fit needs an image encoder: the page reader sees pictures in their own shape",
                 input_name(path));
        runtime_say(rt, &err);
        return NULL;
    }
    senses_image *img = runtime_image(rt, path);
    if (img != NULL && page_words_of(rt, path, img, &words, n_tokens) && words == NULL) say_no_page(rt, path);
    senses_image_close(img);
    return words;
}
