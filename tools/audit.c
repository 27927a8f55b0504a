#include "audit.h"

#include <stdio.h>
#include <stdlib.h>

#include "output.h"

static void keep(cli_runtime *rt, const char *name, const senses_faint_text *t)
{
    cJSON *one = json_object();
    json_add_string(one, "file", name);
    json_add_decimal(one, "contrast", t->contrast, 4);
    json_add_number(one, "glyphs", (double)t->n_glyphs);
    json_add_number(one, "x", (double)t->x_px);
    json_add_number(one, "y", (double)t->y_px);
    json_add_number(one, "width", (double)t->width_px);
    json_add_number(one, "height", (double)t->height_px);
    if (rt->faint == NULL) rt->faint = must(cJSON_CreateArray());
    cJSON_AddItemToArray(rt->faint, one);
}

bool audit_image(cli_runtime *rt, const char *name, const senses_image *img)
{
    senses_error err = {0};
    senses_faint_text t;
    if (!rt->o->audit) return true;
    if (senses_image_faint_text(img, &t, &err) != SN_OK) {
        char *what = text_format("%s: %s", name, err.msg);
        snprintf(err.msg, sizeof err.msg, "%s", what);
        free(what);
        runtime_say(rt, &err);
        return false;
    }
    if (t.n_glyphs == 0) return true;
    diag_error("%s: warning: faint text, which a model may read and a person does not see: at %.1f %% contrast, within %zux%zu pixels at "
               "%zu,%zu",
               name, t.contrast * 100, t.width_px, t.height_px, t.x_px, t.y_px);
    keep(rt, name, &t);
    return true;
}

bool audit_frame(cli_runtime *rt, const char *path, const char *time, const senses_image *img)
{
    char *name = text_format("%s at %s", path, time);
    bool good = audit_image(rt, name, img);
    free(name);
    return good;
}

void audit_add(cJSON *object, cli_runtime *rt)
{
    if (!rt->o->audit) return;
    cJSON_AddItemToObject(object, "faint_text", rt->faint != NULL ? rt->faint : must(cJSON_CreateArray()));
    rt->faint = NULL;
}

void audit_clear(cli_runtime *rt)
{
    cJSON_Delete(rt->faint);
    rt->faint = NULL;
}
