/* senses bench: how fast the models are on this machine. */
#include "command.h"
#include "output.h"
#include "progress.h"
#include "runtime.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* One test of one model: `n` units of work, the times of its runs. */
typedef struct {
    const char *path;
    char test[24]; /* pp512, tg128, image, window, decode */
    size_t n;
    const char *unit; /* "token" */
    double *seconds;  /* [repeats] */
} bench_test;

/* What a file says of itself. */
typedef struct {
    char *type;
    double params, bytes;
} bench_model;

/* The type that most of the weights have, from "F32 0.1%, Q4_1 99.9%". malloc'ed; NULL when there is none. */
static char *main_type(const char *shares)
{
    char name[32];
    double share, most = 0;
    char *type = NULL;
    for (const char *s = shares; sscanf(s, " %31s %lf", name, &share) == 2; s++) {
        if (share > most) {
            most = share;
            free(type);
            type = must(strdup(name));
        }
        s = strchr(s, ',');
        if (s == NULL) break;
    }
    return type;
}

static bench_model model_facts(const char *path)
{
    bench_model m = {.type = NULL};
    char *text = NULL;
    struct stat st;
    if (stat(path, &st) == 0) m.bytes = (double)st.st_size;
    if (senses_describe_file(path, &(senses_describe_params){.json = true}, &text, NULL) == SN_OK) {
        cJSON *j = cJSON_Parse(text);
        const cJSON *shares = cJSON_GetObjectItemCaseSensitive(j, "type"), *params = cJSON_GetObjectItemCaseSensitive(j, "params");
        if (cJSON_IsString(shares)) m.type = main_type(shares->valuestring);
        if (cJSON_IsNumber(params)) m.params = params->valuedouble;
        cJSON_Delete(j);
    }
    free(text);
    if (m.type == NULL) m.type = must(strdup("?"));
    return m;
}

/* The processor's name as Linux gives it. malloc'ed. */
static char *cpu_name(void)
{
    char line[512];
    char *name = NULL;
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f != NULL && name == NULL && fgets(line, sizeof line, f) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL) continue;
        colon += 1 + strspn(colon + 1, " \t");
        name = text_format("%.*s", (int)strcspn(colon, "\n"), colon);
    }
    if (f != NULL) fclose(f);
    return name != NULL ? name : must(strdup("?"));
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, compare_doubles);
    return n % 2 == 1 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static void report(const cli_runtime *rt, const bench_test *t)
{
    struct rusage usage = {.ru_maxrss = 0};
    size_t runs = rt->o->bench_repeats;
    double s = median(t->seconds, runs), per_s = s > 0 ? (double)t->n / s : 0; /* sorts: the ends are least and most */
    getrusage(RUSAGE_SELF, &usage);
    if (!rt->o->json) {
        char *name = text_escape(path_base(t->path));
        out_line("%-36.36s %-8s %11.2f ms %10.2f %ss/s  (%.2f to %.2f ms in %zu runs)", name, t->test, s * 1000, per_s, t->unit,
                 t->seconds[0] * 1000, t->seconds[runs - 1] * 1000, runs);
        free(name);
    } else {
        bench_model m = model_facts(t->path);
        char *cpu = cpu_name();
        cJSON *j = json_object();
        json_add_string(j, "model", path_base(t->path));
        json_add_string(j, "type", m.type);
        json_add_number(j, "params", m.params);
        json_add_number(j, "bytes", m.bytes);
        json_add_number(j, "threads", (double)senses_engine_threads(rt->engine));
        json_add_string(j, "cpu", cpu);
        json_add_string(j, "isa", senses_engine_isa(rt->engine));
        json_add_string(j, "test", t->test);
        json_add_number(j, "n", (double)t->n);
        json_add_decimal(j, "ms", s * 1000, 3);
        json_add_decimal(j, "per_s", per_s, 3);
        json_add_number(j, "rss_bytes", (double)usage.ru_maxrss * 1024);
        out_json(j);
        free(cpu);
        free(m.type);
    }
    fflush(stdout);
}

/* ---- the tests: one untimed run, then the timed ones ---- */

typedef senses_status (*text_test)(senses_text *t, size_t n, double *seconds, senses_error *err);

static int bench_text_test(cli_runtime *rt, const char *test, size_t n, text_test run)
{
    senses_error err = {0};
    size_t runs = rt->o->bench_repeats;
    bench_test t = {.path = senses_text_path(rt->text), .n = n, .unit = "token", .seconds = must(calloc(runs, sizeof(double)))};
    int status = EXIT_DONE;
    snprintf(t.test, sizeof t.test, "%s%zu", test, n);
    for (size_t i = 0; i <= runs && status == EXIT_DONE; i++)
        if (run(rt->text, n, &t.seconds[i == 0 ? 0 : i - 1], &err) != SN_OK) status = runtime_say(rt, &err);
    if (status == EXIT_DONE) report(rt, &t);
    free(t.seconds);
    return status;
}

static int bench_text(cli_runtime *rt, size_t n_gen)
{
    if (!runtime_text(rt)) return EXIT_FAILED;
    int status = bench_text_test(rt, "pp", rt->o->bench_prompt, senses_bench_prompt);
    return status == EXIT_DONE ? bench_text_test(rt, "tg", n_gen, senses_bench_generate) : status;
}

static int bench_encoder(cli_runtime *rt, senses_encoder *c)
{
    senses_error err = {0};
    senses_image *img = NULL;
    senses_sound *sound = NULL;
    size_t runs = rt->o->bench_repeats;
    bool is_image = senses_encoder_kind(c) == SENSES_IMAGE;
    bench_test t = {
        .path = senses_encoder_path(c), .n = 1, .unit = is_image ? "image" : "window", .seconds = must(calloc(runs, sizeof(double)))};
    int status = EXIT_DONE;
    snprintf(t.test, sizeof t.test, "%s", is_image ? "image" : "window");
    if (senses_bench_encoder_input(c, &img, &sound, &err) != SN_OK) status = runtime_say(rt, &err);
    for (size_t i = 0; i <= runs && status == EXIT_DONE; i++) {
        senses_matrix rows = {.data = NULL};
        double start_s = clock_s();
        senses_status s =
            is_image ? senses_encode_image(c, img, runtime_fit(rt->o), &rows, &err) : senses_encode_sound(c, sound, &rows, &err);
        t.seconds[i == 0 ? 0 : i - 1] = clock_s() - start_s;
        senses_matrix_free(&rows);
        if (s != SN_OK) status = runtime_say(rt, &err);
    }
    if (status == EXIT_DONE) report(rt, &t);
    senses_image_close(img);
    senses_sound_close(sound);
    free(t.seconds);
    return status;
}

static int bench_whisper(cli_runtime *rt, size_t n_tokens)
{
    senses_error err = {0};
    if (!runtime_whisper(rt)) return EXIT_FAILED;
    size_t runs = rt->o->bench_repeats;
    bench_test encode = {
        .path = rt->whisper_path, .test = "window", .n = 1, .unit = "window", .seconds = must(calloc(runs, sizeof(double)))};
    bench_test decode = {
        .path = rt->whisper_path, .test = "decode", .n = n_tokens, .unit = "token", .seconds = must(calloc(runs, sizeof(double)))};
    int status = EXIT_DONE;
    for (size_t i = 0; i <= runs && status == EXIT_DONE; i++) {
        size_t at = i == 0 ? 0 : i - 1;
        if (senses_bench_whisper(rt->whisper, n_tokens, &encode.seconds[at], &decode.seconds[at], &err) != SN_OK)
            status = runtime_say(rt, &err);
    }
    if (status == EXIT_DONE) {
        report(rt, &encode);
        report(rt, &decode);
    }
    free(encode.seconds);
    free(decode.seconds);
    return status;
}

static int run(const cli_options *o)
{
    cli_runtime rt;
    size_t n_gen = o->n_predict == CLI_UNSET ? 128 : o->n_predict;
    bool others = o->n_mmproj > 0 || o->whisper != NULL;
    int status = EXIT_DONE;
    runtime_init(&rt, o);
    if (o->model != NULL || o->n_lora > 0 || !others) status = bench_text(&rt, n_gen);
    if (status == EXIT_DONE && !runtime_encoders(&rt)) status = EXIT_FAILED;
    for (size_t i = 0; i < rt.n_encoders && status == EXIT_DONE; i++) status = bench_encoder(&rt, rt.encoders[i]);
    if (status == EXIT_DONE && o->whisper != NULL) status = bench_whisper(&rt, n_gen);
    runtime_close(&rt);
    return status;
}

const cli_command cmd_bench = {
    .name = "bench",
    .operands = "",
    .summary = "measure speed and memory",
    .details = "Measures tokens per second of reading a prompt (pp) and of writing (tg); with --mmproj the time of an image or of a window "
               "of 30 s of "
               "sound; with --whisper the time of encoding a window and the tokens per second of decoding. With --mmproj or --whisper the "
               "text model is measured only when it is named too. Writes a table, or with --json one line a test.",
    .examples = "senses bench\n"
                "senses bench -m model.gguf -p 512 -n 128 -r 5 --json\n"
                "senses bench --whisper tiny.en",
    .sets = SET_COMMON | SET_JSON | SET_ENGINE | SET_TEXT | SET_LORA | SET_PRECISION | SET_MMPROJ | SET_WHISPER | SET_BENCH,
    .min_operands = 0,
    .max_operands = 0,
    .run = run,
};
