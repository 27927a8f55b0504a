/* convert.c: model folders as GGUF files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

static bool holds(const char *dir, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0) return false;
    const bool found = access(path, F_OK) == 0;
    free(path);
    return found;
}

static sn_status type_of(const char *dir, const char *name, sn_type *type, sn_err *err)
{
    static const struct {
        const char *name;
        sn_type type;
    } known[] = {{"auto", SN_TYPE_MAX}, {"f16", SN_F16}, {"bf16", SN_BF16}, {"f32", SN_F32}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) {
            *type = known[i].type;
            return SN_OK;
        }
    return sn_fail(err, SN_EUSAGE, "%s: \"%s\" is no type that a folder is converted to", dir, name);
}

senses_status senses_convert(const char *dir, const char *out_path, const senses_convert_params *p, senses_error *err)
{
    sn_convert_params params = {.type = SN_TYPE_MAX};
    struct stat st;
    if (stat(dir, &st) != 0) return sn_fail(err, SN_EIO, "%s: cannot open: %m", dir);
    if (!S_ISDIR(st.st_mode)) return sn_fail(err, SN_EFORMAT, "%s: is not a folder", dir);
    if (p != NULL) {
        params.progress = p->progress;
        params.user = p->user;
        const sn_status known = type_of(dir, p->type != NULL ? p->type : "auto", &params.type, err);
        if (known != SN_OK) return known;
    }
    if (holds(dir, "model.bin")) {
        if (params.type != SN_TYPE_MAX) return sn_fail(err, SN_EUSAGE, "%s: a CTranslate2 folder keeps its types", dir);
        return aud_convert_ct2(dir, out_path, err);
    }
    if (holds(dir, "config.json")) return txt_convert(dir, out_path, &params, err);
    return sn_fail(err, SN_EFORMAT, "%s: holds no model: neither config.json (Hugging Face) nor model.bin (CTranslate2)", dir);
}
