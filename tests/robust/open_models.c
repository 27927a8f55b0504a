/* open_models: reads lines "KIND PATH" and says of each "ok", or "refused" and the message, after it opened the model and used it a little.
 * For tests/robust/run.py, which gives it thousands of nearly valid files: a process for each would take an hour. */
#include "../../include/senses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LORA_BASE "tests/golden/text/llama_smollm.gguf"
static senses_engine *engine;
static senses_image *picture;
static senses_sound *sound;

static senses_status read_and_write(senses_text *t, senses_error *err)
{
    senses_session_params p;
    senses_session *s = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    senses_session_defaults(&p);
    p.raw = true;
    p.temperature = 1;
    senses_status st = senses_session_open(&s, t, NULL, 0, &p, err);
    if (st == SN_OK) st = senses_session_prompt(s, "hi </s>", NULL, 0, 2, err);
    if (st == SN_OK) st = senses_session_answer(s, 2, NULL, NULL, &ids, &n, err);
    for (size_t i = 0; st == SN_OK && i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= senses_text_n_vocab(t)) abort();
    free(ids);
    senses_session_close(s);
    return st;
}

static senses_status use_text(const char *path, const char *lora, senses_error *err)
{
    senses_text *t = NULL;
    senses_status st = senses_text_open(&t, engine, path, err);
    if (st == SN_OK && lora != NULL) st = senses_text_adapt(t, lora, 1, err);
    if (st == SN_OK) st = read_and_write(t, err);
    senses_text_close(t);
    return st;
}

static senses_status use_encoder(const char *path, senses_error *err)
{
    senses_encoder *c = NULL;
    senses_matrix rows = {0};
    senses_status st = senses_encoder_open(&c, engine, path, err);
    if (st == SN_OK && senses_encoder_kind(c) == SENSES_IMAGE)
        st = senses_encode_image(c, picture, SENSES_FIT_DEFAULT, &rows, err);
    else if (st == SN_OK)
        st = senses_encode_sound(c, sound, &rows, err);
    senses_matrix_free(&rows);
    senses_encoder_close(c);
    return st;
}

static senses_status use_whisper(const char *path, senses_error *err)
{
    senses_whisper *w = NULL;
    double encode_s, decode_s;
    senses_status st = senses_whisper_open(&w, engine, path, err);
    if (st == SN_OK) st = senses_bench_whisper(w, 2, &encode_s, &decode_s, err);
    senses_whisper_close(w);
    return st;
}

static senses_status use(const char *kind, const char *path, senses_error *err)
{
    char *text = NULL;
    if (senses_describe_file(path, &(senses_describe_params){.json = true, .engine = engine}, &text, err) == SN_OK) free(text);
    if (strcmp(kind, "lora") == 0) return use_text(LORA_BASE, path, err);
    if (strcmp(kind, "text") == 0) return use_text(path, NULL, err);
    return strcmp(kind, "whisper") == 0 ? use_whisper(path, err) : use_encoder(path, err);
}

int main(void)
{
    char line[4096], kind[16], path[4000];
    senses_error err = {0};
    if (senses_engine_open(&engine, &(senses_engine_params){.threads = 1}, &err) != SN_OK ||
        senses_image_load(&picture, "tests/golden/vision/files/rgb.png", NULL, &err) != SN_OK ||
        senses_sound_load(&sound, "tests/fuzz/corpus/sound/pcm16.wav", 0, &err) != SN_OK) {
        fprintf(stderr, "open_models: %s\n", err.msg);
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL && sscanf(line, "%15s %3999[^\n]", kind, path) == 2) {
        err = (senses_error){0};
        if (use(kind, path, &err) == SN_OK)
            puts("ok");
        else
            printf("refused %s\n", err.msg);
        fflush(stdout);
    }
    senses_sound_close(sound);
    senses_image_close(picture);
    senses_engine_close(engine);
    return 0;
}
