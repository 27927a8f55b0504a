/* senses models: the models at hand. */
#include "command.h"
#include "models_path.h"
#include "output.h"
#include "runtime.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n > k && strcmp(s + n - k, end) == 0;
}

static int is_model(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && (ends_with(entry->d_name, ".gguf") || ends_with(entry->d_name, ".bin"));
}

/* The member `kind` of the file's description; malloc'ed, "unreadable" when the library refuses the file. */
static char *file_kind(const cli_options *o, const char *path)
{
    senses_error err = {0};
    char *text = NULL;
    if (senses_describe_file(path, &(senses_describe_params){.json = true}, &text, &err) != SN_OK) {
        diag_explain(o, "%s", err.msg);
        return must(strdup("unreadable"));
    }
    cJSON *j = cJSON_Parse(text);
    const cJSON *kind = cJSON_GetObjectItemCaseSensitive(j, "kind");
    char *answer = must(strdup(cJSON_IsString(kind) ? kind->valuestring : "?"));
    cJSON_Delete(j);
    free(text);
    return answer;
}

static bool is_there(const char *folder, const char *file)
{
    struct stat st;
    char *path = text_format("%s/%s", folder, file);
    const bool there = stat(path, &st) == 0;
    free(path);
    return there;
}

static void show(const cli_options *o, const char *folder, const char *file)
{
    char *path = text_format("%s/%s", folder, file);
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
        free(path);
        return;
    }
    char *kind = file_kind(o, path);
    const char *mark = models_default_mark(folder, file);
    if (o->json) {
        cJSON *j = json_object();
        json_add_string(j, "name", file);
        json_add_string(j, "file", path);
        json_add_number(j, "bytes", (double)st.st_size);
        json_add_string(j, "kind", kind);
        must(cJSON_AddBoolToObject(j, "default", mark != NULL));
        out_json(j);
    } else {
        char *name = text_escape(file);
        out_line("%-40s %9.1f MB  %s%s%s%s", name, (double)st.st_size / 1e6, kind, mark != NULL ? "  (default for " : "",
                 mark != NULL ? mark : "", mark != NULL ? ")" : "");
        free(name);
    }
    free(kind);
    free(path);
}

/* Whether nothing reaches the file: its name means one of a folder before this one, and without a name another is taken. */
static bool is_hidden(char *const folders[], size_t at, const char *file)
{
    for (size_t i = 0; i < at; i++)
        if (is_there(folders[i], file)) return models_default_mark(folders[at], file) == NULL;
    return false;
}

/* Folder `at` of the list. *n_found grows by what is in it. False: said. */
static bool list_folder(const cli_options *o, char *const folders[], size_t at, size_t *n_found)
{
    struct dirent **entries = NULL;
    int n = scandir(folders[at], &entries, is_model, alphasort);
    if (n < 0 && errno != ENOENT && errno != ENOTDIR) {
        diag_error("%s: %s", folders[at], strerror(errno));
        return false;
    }
    for (int i = 0; i < n; i++) {
        if (!is_hidden(folders, at, entries[i]->d_name)) show(o, folders[at], entries[i]->d_name);
        free(entries[i]);
    }
    *n_found += n > 0 ? (size_t)n : 0;
    free(entries);
    return true;
}

static int run(const cli_options *o)
{
    char *folders[MODELS_N_FOLDERS + 1], *own = models_folder();
    size_t n_found = 0;
    int status = EXIT_DONE;
    models_list_folders(folders);
    for (size_t i = 0; folders[i] != NULL; i++)
        if (!list_folder(o, folders, i, &n_found)) status = EXIT_FAILED;
    if (n_found == 0 && own == NULL) {
        diag_error("there is no folder of models: none of SENSES_HOME, XDG_DATA_HOME and HOME is set");
        status = EXIT_FAILED;
    } else if (n_found == 0 && status == EXIT_DONE) {
        diag_note(o, "%s: no models yet; bring the default ones with: make models", own);
    }
    models_free_folders(folders);
    free(own);
    return status;
}

const cli_command cmd_models = {
    .name = "models",
    .operands = "",
    .summary = "list the models at hand",
    .details = "Lists the models in $SENSES_HOME/models (default: $XDG_DATA_HOME/senses/models, or ~/.local/share/senses/models), then "
               "those that come with the program, in ../share/senses/models and models from where it lies: name, size, kind, and which are "
               "used when none is named: for text, for speech, and the pair for pages in pictures. A model of this list can be "
               "given by its name, with or without .gguf.",
    .examples = "senses models\n"
                "senses models --json",
    .sets = SET_COMMON | SET_JSON,
    .min_operands = 0,
    .max_operands = 0,
    .run = run,
};
