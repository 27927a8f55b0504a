#include "models_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

/* The default bundle, the first of a role first: its files, and the names people use for them. */
typedef struct {
    model_role role;
    const char *file;
    const char *names[3];
    const char *mark; /* shown by `models`; NULL: no default */
} bundled_model;

static const bundled_model bundle[] = {
    {MODEL_TEXT, "smollm2-135m-instruct-q4_1.gguf", {"smollm2-135m-instruct", "smollm2-135m", "smollm2"}, "text"},
    {MODEL_WHISPER, "whisper-tiny.en.gguf", {"whisper-tiny.en", "tiny.en", NULL}, "speech"},
    {MODEL_WHISPER, "whisper-base.gguf", {"whisper-base", "base", NULL}, NULL},
    {MODEL_PAGE_MMPROJ, "sketch-mmproj.gguf", {NULL}, "pages"},
    {MODEL_PAGE_TEXT, "sketch.gguf", {NULL}, "pages"},
};
enum { N_BUNDLE = sizeof bundle / sizeof bundle[0] };

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

char *models_folder(void)
{
    if (variable("SENSES_HOME") != NULL) return text_format("%s/models", variable("SENSES_HOME"));
    if (variable("XDG_DATA_HOME") != NULL) return text_format("%s/senses/models", variable("XDG_DATA_HOME"));
    if (variable("HOME") != NULL) return text_format("%s/.local/share/senses/models", variable("HOME"));
    return NULL;
}

/* The folders to look in, the first one first; NULL ends the list. What comes with the program lies beside it, so that a copy of
 * either works wherever it is put. */
void models_list_folders(char *folders[MODELS_N_FOLDERS + 1])
{
    char program[4096];
    size_t n = 0;
    folders[n] = models_folder();
    if (folders[n] != NULL) n++;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash != NULL) {
        *slash = '\0';
        folders[n++] = text_format("%s/../share/senses/models", program);
        folders[n++] = text_format("%s/models", program);
    }
    folders[n] = NULL;
}

void models_free_folders(char *folders[MODELS_N_FOLDERS + 1])
{
    for (size_t i = 0; folders[i] != NULL; i++) free(folders[i]);
}

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* folder/pattern-with-name when it is there, else NULL. */
static char *try_file(const char *folder, const char *before, const char *name, const char *after)
{
    char *path = text_format("%s/%s%s%s", folder, before, name, after);
    if (exists(path)) return path;
    free(path);
    return NULL;
}

static char *find_named(const char *folder, const char *name)
{
    static const char *const around[][2] = {{"", ""}, {"", ".gguf"}, {"", ".bin"}, {"ggml-", ".bin"}};
    char *path = NULL;
    for (size_t i = 0; i < sizeof around / sizeof around[0] && path == NULL; i++) path = try_file(folder, around[i][0], name, around[i][1]);
    for (size_t i = 0; i < N_BUNDLE && path == NULL; i++)
        for (size_t k = 0; k < 3 && bundle[i].names[k] != NULL && path == NULL; k++)
            if (strcmp(bundle[i].names[k], name) == 0) path = try_file(folder, "", bundle[i].file, "");
    return path;
}

static bool is_of_pair(model_role role)
{
    return role == MODEL_PAGE_MMPROJ || role == MODEL_PAGE_TEXT;
}

/* Whether the pair for pages is whole here: halves of two pairs are none, whatever their names. */
static bool has_pair(const char *folder)
{
    bool whole = true;
    for (size_t i = 0; i < N_BUNDLE && whole; i++) {
        char *path = is_of_pair(bundle[i].role) ? try_file(folder, "", bundle[i].file, "") : NULL;
        whole = path != NULL || !is_of_pair(bundle[i].role);
        free(path);
    }
    return whole;
}

static char *find_default(const char *folder, model_role role)
{
    char *path = NULL;
    if (is_of_pair(role) && !has_pair(folder)) return NULL;
    for (size_t i = 0; i < N_BUNDLE && path == NULL; i++)
        if (bundle[i].role == role) path = try_file(folder, "", bundle[i].file, "");
    return path;
}

const char *models_default_mark(const char *folder, const char *file)
{
    char *folders[MODELS_N_FOLDERS + 1], *chosen = NULL, *mine = text_format("%s/%s", folder, file);
    size_t k = 0;
    while (k < N_BUNDLE && strcmp(bundle[k].file, file) != 0) k++;
    models_list_folders(folders);
    for (size_t i = 0; k < N_BUNDLE && folders[i] != NULL && chosen == NULL; i++) chosen = find_default(folders[i], bundle[k].role);
    const bool is_chosen = chosen != NULL && strcmp(chosen, mine) == 0;
    models_free_folders(folders);
    free(chosen);
    free(mine);
    return is_chosen ? bundle[k].mark : NULL;
}

static void say_no_default(const char *folder, model_role role)
{
    const char *what = role == MODEL_TEXT ? "text model" : role == MODEL_WHISPER ? "speech model" : "reader of pages";
    const char *options = role == MODEL_TEXT ? "-m FILE" : role == MODEL_WHISPER ? "--whisper FILE" : "-m FILE --mmproj FILE";
    size_t i = 0;
    while (bundle[i].role != role) i++;
    diag_error("%s/%s: the default %s is not there; bring it with: make models (or name another with %s)", folder, bundle[i].file, what,
               options);
}

char *models_resolve(const char *value, model_role role)
{
    if (value != NULL && (strchr(value, '/') != NULL || exists(value))) return must(strdup(value));
    char *folders[MODELS_N_FOLDERS + 1], *path = NULL;
    models_list_folders(folders);
    for (size_t i = 0; folders[i] != NULL && path == NULL; i++)
        path = value != NULL ? find_named(folders[i], value) : find_default(folders[i], role);
    char *folder = models_folder();
    if (path == NULL && folder == NULL)
        diag_error("%s: no such file, and there is no folder of models: none of SENSES_HOME, XDG_DATA_HOME and HOME is set",
                   value != NULL ? value : "default model");
    else if (path == NULL && value == NULL)
        say_no_default(folder, role);
    else if (path == NULL)
        diag_error("%s: no such file, and no model of that name in %s ('senses models' lists them)", value, folder);
    free(folder);
    models_free_folders(folders);
    return path;
}
