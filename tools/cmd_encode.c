/* senses encode: media as the decoder would see them. */
#include "command.h"
#include "npy.h"
#include "output.h"
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

static bool load_sound(cli_runtime *rt, const char *path, senses_sound **sound)
{
    senses_error err = {0};
    const senses_sound_params p = {.no_sandbox = rt->o->no_sandbox, .accept_truncated = rt->o->accept_truncated};
    if (senses_sound_load(sound, path, &p, &err) == SN_OK) {
        runtime_note_partial(rt, path, senses_sound_partial(*sound));
        return true;
    }
    runtime_say(rt, &err);
    return false;
}

/* One medium as [tokens, n_embd], or as [n_mel, frames] under --mel. */
static bool encode_one(cli_runtime *rt, const cli_medium *medium, senses_matrix *rows)
{
    senses_error err = {0};
    senses_image *img = NULL;
    senses_sound *sound = NULL;
    senses_status status = SN_EUSAGE;
    bool is_image = medium->kind == MEDIUM_IMAGE, loaded = false;
    senses_encoder *c = runtime_encoder(rt, is_image ? SENSES_IMAGE : SENSES_AUDIO);
    if (c == NULL) {
        diag_error("%s: no %s encoder was given with --mmproj", input_name(medium->path), is_image ? "image" : "audio");
        return false;
    }
    if (is_image) {
        img = runtime_image(rt, medium->path);
        loaded = img != NULL;
        if (loaded) status = senses_encode_image(c, img, runtime_fit(rt->o), rows, &err);
    } else {
        loaded = load_sound(rt, medium->path, &sound);
        if (loaded) status = rt->o->mel ? senses_encoder_mel(c, sound, rows, &err) : senses_encode_sound(c, sound, rows, &err);
    }
    senses_image_close(img);
    senses_sound_close(sound);
    if (loaded && status != SN_OK) runtime_say(rt, &err);
    if (!loaded || status != SN_OK) return false;
    const char *note = rt->o->mel ? "" : senses_encoder_cache_note(c);
    diag_explain(rt->o, "%s: %zu x %zu%s%s", input_name(medium->path), rows->rows, rows->cols, note[0] != '\0' ? "; " : "", note);
    return true;
}

/* Puts the rows behind those of *all. */
static bool append(senses_matrix *all, const senses_matrix *rows)
{
    if (all->rows > 0 && all->cols != rows->cols) {
        diag_error("the media have rows of different widths, %zu and %zu: they cannot go into one file", all->cols, rows->cols);
        return false;
    }
    size_t have = all->rows * all->cols, more = rows->rows * rows->cols;
    if (more > SIZE_MAX / sizeof(float) - have) must(NULL);
    all->data = must(realloc(all->data, (have + more) * sizeof(float) + 1));
    memcpy(all->data + have, rows->data, more * sizeof(float));
    all->rows += rows->rows;
    all->cols = rows->cols;
    return true;
}

/* With -m: the decoder must be as wide as what the encoders give. The library refuses the pair, naming both files. Nothing is asked, so the
 * decoder needs no chat template. */
static bool check_decoder(cli_runtime *rt)
{
    senses_error err = {0};
    senses_session *s = NULL;
    if (rt->o->model == NULL) return true;
    if (!runtime_text(rt)) return false;
    senses_session_params p = rt->o->session;
    p.raw = true;
    const bool good = senses_session_open(&s, rt->text, rt->encoders, rt->n_encoders, &p, &err) == SN_OK;
    if (!good) runtime_say(rt, &err);
    senses_session_close(s);
    return good;
}

static int encode(cli_runtime *rt)
{
    const cli_options *o = rt->o;
    senses_matrix all = {.data = NULL};
    bool good = true;
    for (size_t i = 0; i < o->n_media && good; i++) {
        senses_matrix rows = {.data = NULL};
        good = encode_one(rt, &o->media[i], &rows) && append(&all, &rows);
        senses_matrix_free(&rows);
    }
    good = good && npy_write(o->output, &all, false);
    free(all.data);
    return good ? EXIT_DONE : EXIT_FAILED;
}

static int run(const cli_options *o)
{
    cli_runtime rt;
    if (o->n_media == 0) return diag_usage("encode", "encode: no medium was given: --image FILE or --audio FILE");
    if (o->n_mmproj == 0) return diag_usage("encode", "encode: no encoder was given: --mmproj FILE");
    if (o->output == NULL) return diag_usage("encode", "encode: no output file was given: -o OUT.npy");
    if (o->mel && (o->n_media != 1 || o->media[0].kind != MEDIUM_AUDIO))
        return diag_usage("encode", "encode: --mel takes exactly one --audio and no --image");
    if (!runtime_stdin_once(o, "encode")) return EXIT_USAGE;
    runtime_init(&rt, o);
    int status = EXIT_FAILED;
    if (runtime_encoders(&rt) && check_decoder(&rt)) status = encode(&rt);
    runtime_close(&rt);
    return status;
}

const cli_command cmd_encode = {
    .name = "encode",
    .operands = "",
    .summary = "write what the decoder would see of pictures and sound",
    .details = "Writes the output of the adapter as a NumPy file: float32 [tokens, n_embd], several media one behind the other in the "
               "order given. "
               "With -m the width is checked against that decoder.",
    .examples = "senses encode --mmproj mmproj.gguf --image photo.jpg -o photo.npy\n"
                "senses encode --mmproj mmproj.gguf --audio talk.wav --mel -o mel.npy",
    .sets = SET_COMMON | SET_CACHE | SET_ENGINE | SET_PRECISION | SET_TEXT | SET_MMPROJ | SET_IMAGE | SET_MEDIA | SET_OUTPUT | SET_ENCODE,
    .min_operands = 0,
    .max_operands = 0,
    .run = run,
};
