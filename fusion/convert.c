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

/* The encoder, whichever it is. */
static sn_status convert_encoder(const char *dir, const char *out_path, const sn_convert_params *params, sn_err *err)
{
    cJSON *config = NULL;
    sn_status st = sn_json_open_in(&config, dir, "config.json", err);
    if (st != SN_OK) return st;
    const char *type = sn_json_str(sn_json_get(config, "model_type"));
    if (type != NULL && aud_converts(type))
        st = aud_convert(dir, out_path, params, err);
    else if (type != NULL && vis_converts(type))
        st = vis_convert(dir, out_path, params, err);
    else
        st = sn_fail(err, SN_EUNSUPPORTED, "%s/config.json: a model of type \"%.40s\" has no encoder that can be converted", dir,
                     type != NULL ? type : "none");
    cJSON_Delete(config);
    return st;
}

/* A decoder, or a Whisper, which is one file. */
static sn_status convert_model(const char *dir, const char *out_path, const sn_convert_params *params, sn_err *err)
{
    cJSON *config = NULL;
    const sn_status st = sn_json_open_in(&config, dir, "config.json", err);
    if (st != SN_OK) return st;
    const char *type = sn_json_str(sn_json_get(config, "model_type"));
    const bool whisper = type != NULL && strcmp(type, "whisper") == 0;
    cJSON_Delete(config);
    return whisper ? aud_convert_whisper(dir, out_path, params, err) : txt_convert(dir, out_path, params, err);
}

static sn_status same_file(const char *a, const char *b, sn_err *err)
{
    struct stat x, y;
    if (stat(a, &x) != 0 || stat(b, &y) != 0 || x.st_dev != y.st_dev || x.st_ino != y.st_ino) return SN_OK;
    return sn_fail(err, SN_EUSAGE, "%s: the model and its encoder cannot both be written there", b);
}

/* The encoder waits under another name until the model is complete, so that there are both files or none. */
static sn_status convert_both(const char *dir, const char *out_path, const char *mmproj_path, const sn_convert_params *params, sn_err *err)
{
    char *waiting = NULL;
    if (asprintf(&waiting, "%s.XXXXXX", mmproj_path) < 0) return sn_fail(err, SN_ENOMEM, "%s: out of memory", mmproj_path);
    const int fd = mkstemp(waiting);
    sn_status st = fd < 0 ? sn_fail(err, SN_EIO, "%s: cannot write: %m", mmproj_path) : SN_OK;
    if (fd >= 0) close(fd);
    if (st == SN_OK) st = convert_encoder(dir, waiting, params, err);
    if (st == SN_OK) st = txt_convert(dir, out_path, params, err);
    if (st == SN_OK) st = same_file(out_path, mmproj_path, err);
    if (st == SN_OK && rename(waiting, mmproj_path) != 0) st = sn_fail(err, SN_EIO, "%s: cannot write: %m", mmproj_path);
    if (st != SN_OK && fd >= 0) unlink(waiting);
    free(waiting);
    return st;
}

senses_status senses_convert(const char *dir, const char *out_path, const senses_convert_params *p, senses_error *err)
{
    sn_convert_params params = {.type = SN_TYPE_MAX};
    const char *mmproj_path = p != NULL ? p->mmproj_path : NULL;
    struct stat st;
    if (stat(dir, &st) != 0) return sn_fail(err, SN_EIO, "%s: cannot open: %m", dir);
    if (!S_ISDIR(st.st_mode)) return sn_fail(err, SN_EFORMAT, "%s: is not a folder", dir);
    if (p != NULL) {
        params.progress = p->progress;
        params.user = p->user;
        const sn_status known = type_of(dir, p->type != NULL ? p->type : "auto", &params.type, err);
        if (known != SN_OK) return known;
    }
    if (out_path == NULL && mmproj_path == NULL) return sn_fail(err, SN_EUSAGE, "%s: no file to write was given", dir);
    if (holds(dir, "model.bin")) {
        if (mmproj_path != NULL) return sn_fail(err, SN_EUSAGE, "%s: a CTranslate2 folder has no encoder of its own", dir);
        if (params.type != SN_TYPE_MAX) return sn_fail(err, SN_EUSAGE, "%s: a CTranslate2 folder keeps its types", dir);
        return aud_convert_ct2(dir, out_path, err);
    }
    if (!holds(dir, "config.json"))
        return sn_fail(err, SN_EFORMAT, "%s: holds no model: neither config.json (Hugging Face) nor model.bin (CTranslate2)", dir);
    if (mmproj_path == NULL) return convert_model(dir, out_path, &params, err);
    if (out_path == NULL) return convert_encoder(dir, mmproj_path, &params, err);
    return convert_both(dir, out_path, mmproj_path, &params, err);
}
