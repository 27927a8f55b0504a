#include "batch_record.h"

#include <stdlib.h>
#include <string.h>

#include "runtime.h"
#include "utf8.h"

static const char beginning[] = "{\"file\":\"";

cJSON *batch_record(const char *path, const char *sha256, const char *type, const char *task, const char *model)
{
    cJSON *j = json_object();
    size_t n = strlen(path);
    json_add_text(j, "file", path, n);
    if (!utf8_valid(path, n)) {
        cli_buffer hex = {0};
        for (size_t i = 0; i < n; i++) {
            char two[3];
            snprintf(two, sizeof two, "%02x", (unsigned char)path[i]);
            buffer_add(&hex, two, 2);
        }
        json_add_string(j, "file_hex", hex.data);
        free(hex.data);
    }
    json_add_string(j, "sha256", sha256);
    json_add_string(j, "type", type);
    json_add_string(j, "task", task);
    json_add_string(j, "model", model != NULL ? path_base(model) : NULL);
    return j;
}

static batch_id id_of(const char *path, size_t n, const char *sha256, const char *settings)
{
    cli_buffer b = {0};
    buffer_add(&b, path, n + 1); /* with its end, which no part has inside */
    buffer_add(&b, sha256 != NULL ? sha256 : "", strlen(sha256 != NULL ? sha256 : "") + 1);
    buffer_add(&b, settings, strlen(settings));
    batch_id id = batch_id_of(b.data, b.n);
    free(b.data);
    return id;
}

batch_id batch_record_id(const char *path, const char *sha256, const char *settings)
{
    return id_of(path, strlen(path), sha256, settings);
}

bool batch_record_begins(const char *bytes, size_t n)
{
    return memcmp(bytes, beginning, n < sizeof beginning - 1 ? n : sizeof beginning - 1) == 0;
}

/* The path's bytes from hexadecimal digits. malloc'ed; NULL: they are none. */
static char *from_hex(const char *hex)
{
    size_t n = strlen(hex) / 2;
    char *bytes = must(malloc(n + 1));
    if (strlen(hex) % 2 != 0 || strspn(hex, "0123456789abcdef") != 2 * n) {
        free(bytes);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) bytes[i] = (char)strtoul((char[]){hex[2 * i], hex[2 * i + 1], '\0'}, NULL, 16);
    bytes[n] = '\0';
    return bytes;
}

static const char *text_of(const cJSON *j, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(j, key);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

bool batch_record_read(const char *line, size_t n, batch_record_facts *facts, cJSON **json)
{
    const char *end = NULL;
    if (n < sizeof beginning || !batch_record_begins(line, n) || memchr(line, '\0', n) != NULL || !utf8_valid(line, n)) return false;
    cJSON *j = cJSON_ParseWithLengthOpts(line, n, &end, false);
    const char *file = text_of(j, "file"), *hex = text_of(j, "file_hex"), *settings = text_of(j, "settings");
    char *bytes = file == NULL ? NULL : hex != NULL ? from_hex(hex) : must(strdup(file));
    bool good = bytes != NULL && end == line + n && settings != NULL && strlen(settings) == sizeof facts->settings - 1;
    if (good) {
        facts->id = id_of(bytes, strlen(bytes), text_of(j, "sha256"), settings);
        facts->failed = text_of(j, "error") != NULL;
        memcpy(facts->settings, settings, sizeof facts->settings);
    }
    free(bytes);
    if (good && json != NULL)
        *json = j;
    else
        cJSON_Delete(j);
    return good;
}

/* ---- tables ---- */

static const char *const columns[] = {"file",     "type",    "task",    "model", "text",   "language",
                                      "duration", "partial", "seconds", "error", "sha256", "file_hex"};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

static void put_quoted(FILE *f, const char *s)
{
    bool plain = strpbrk(s, ",\"\r\n") == NULL && s[0] != ' ';
    if (!plain) fputc('"', f);
    for (; *s != '\0'; s++) {
        if (*s == '"') fputc('"', f);
        fputc(*s, f);
    }
    if (!plain) fputc('"', f);
}

static void put_value(FILE *f, const cJSON *item)
{
    if (cJSON_IsString(item)) put_quoted(f, item->valuestring);
    if (cJSON_IsNumber(item)) fprintf(f, "%.10g", item->valuedouble);
    if (cJSON_IsBool(item)) fputs(cJSON_IsTrue(item) ? "true" : "false", f);
    if (cJSON_IsArray(item) || cJSON_IsObject(item)) {
        char *text = must(cJSON_PrintUnformatted(item));
        put_quoted(f, text);
        cJSON_free(text);
    }
}

static const cJSON *data_of(const cJSON *record)
{
    return cJSON_GetObjectItemCaseSensitive(record, "data");
}

void batch_csv_add_fields(cJSON *fields, const cJSON *record)
{
    const cJSON *data = data_of(record);
    for (const cJSON *v = cJSON_IsObject(data) ? data->child : NULL; v != NULL; v = v->next)
        if (cJSON_GetObjectItemCaseSensitive(fields, v->string) == NULL) must(cJSON_AddTrueToObject(fields, v->string));
}

void batch_csv_head(FILE *f, const cJSON *fields)
{
    for (size_t i = 0; i < N_COLUMNS; i++) fprintf(f, "%s%s", i > 0 ? "," : "", columns[i]);
    for (const cJSON *v = fields->child; v != NULL; v = v->next) {
        fputc(',', f);
        put_quoted(f, v->string);
    }
    fputs("\r\n", f);
}

void batch_csv_row(FILE *f, const cJSON *record, const cJSON *fields)
{
    for (size_t i = 0; i < N_COLUMNS; i++) {
        if (i > 0) fputc(',', f);
        put_value(f, cJSON_GetObjectItemCaseSensitive(record, columns[i]));
    }
    for (const cJSON *v = fields->child; v != NULL; v = v->next) {
        fputc(',', f);
        put_value(f, cJSON_GetObjectItemCaseSensitive(data_of(record), v->string));
    }
    fputs("\r\n", f);
}
