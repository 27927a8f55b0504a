#include "describe.h"

#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "page.h"

static int ask_model(description *d, cli_runtime *rt, const char *path, bool stream)
{
    const cli_medium medium = {MEDIUM_IMAGE, path};
    const char *prompt = rt->o->prompt != NULL ? rt->o->prompt : "Describe this image.";
    cli_media media = {.list = NULL};
    senses_session *s = NULL;
    int status = EXIT_FAILED;
    d->model = senses_text_path(rt->text);
    if (media_add(&media, rt, &medium)) s = runtime_session(rt);
    if (s != NULL) status = answer_get(&d->answer, rt, s, prompt, &media, stream);
    senses_session_close(s);
    media_free(&media);
    return status;
}

static int read_words(description *d, cli_runtime *rt, const char *path, bool stream)
{
    char *words = page_words(rt, path, &d->answer.n_ids);
    d->model = runtime_reader_path(rt);
    if (words == NULL) return EXIT_FAILED;
    size_t n = strlen(words);
    while (n > 0 && words[n - 1] == '\n') n--;
    buffer_add(&d->answer.text, words, n);
    if (stream) out_line("%.*s", (int)n, words);
    free(words);
    return EXIT_DONE;
}

bool describe_reader_is_enough(const cli_options *o)
{
    return o->n_mmproj == 0 && o->model == NULL && o->n_lora == 0 && o->prompt == NULL && o->grammar == NULL && o->schema == NULL &&
           o->fields == NULL;
}

bool describe_open(cli_runtime *rt, const char *file)
{
    const cli_options *o = rt->o;
    if (!describe_reader_is_enough(o) && (!runtime_text(rt) || !runtime_eyes(rt, file) || !runtime_pair(rt))) return false;
    return runtime_encoder(rt, SENSES_IMAGE) != NULL || runtime_reader(rt) != NULL;
}

int describe_picture(description *d, cli_runtime *rt, const char *path, bool stream)
{
    return describe_reader_is_enough(rt->o) ? read_words(d, rt, path, stream) : ask_model(d, rt, path, stream);
}
