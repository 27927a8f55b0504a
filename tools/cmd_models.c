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
    if (senses_describe_file(path, true, &text, &err) != SN_OK) {
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

static void show(const cli_options *o, const char *folder, const char *file)
{
    char *path = text_format("%s/%s", folder, file);
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
        free(path);
        return;
    }
    char *kind = file_kind(o, path);
    const char *mark = models_default_mark(file);
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

static int run(const cli_options *o)
{
    char *folder = models_folder();
    struct dirent **entries = NULL;
    if (folder == NULL) {
        diag_error("there is no folder of models: none of SENSES_HOME, XDG_DATA_HOME and HOME is set");
        return EXIT_FAILED;
    }
    int n = scandir(folder, &entries, is_model, alphasort);
    int status = EXIT_DONE;
    if (n < 0 && errno != ENOENT) {
        diag_error("%s: %s", folder, strerror(errno));
        status = EXIT_FAILED;
    } else if (n <= 0) {
        diag_note(o, "%s: no models yet; bring the default ones with: make models", folder);
    }
    for (int i = 0; i < n; i++) {
        show(o, folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    free(folder);
    return status;
}

const cli_command cmd_models = {
    .name = "models",
    .operands = "",
    .summary = "list the models at hand",
    .details = "Lists the models in $SENSES_HOME/models (default: $XDG_DATA_HOME/senses/models, or ~/.local/share/senses/models): name, "
               "size, kind, and "
               "which are used when none is named: for text, for speech, and the pair for pages in pictures. A model of this list can be "
               "given by its name, with or without .gguf.",
    .examples = "senses models\n"
                "senses models --json",
    .sets = SET_COMMON | SET_JSON,
    .min_operands = 0,
    .max_operands = 0,
    .run = run,
};
