/* batch_record.h: one result of a batch as a line of JSON, and as a row of a table. docs/batch.md says what the fields mean. */
#ifndef TOOLS_BATCH_RECORD_H
#define TOOLS_BATCH_RECORD_H

#include "batch_set.h"
#include "output.h"

/* A record begins with these: sha256, type and model may be NULL. A path that is no UTF-8 is there in full as hexadecimal digits. */
cJSON *batch_record(const char *path, const char *sha256, const char *type, const char *task, const char *model);

/* The settings of a record that comes before any task: of a file that cannot be looked at. */
#define BATCH_NO_SETTINGS "0000000000000000"

/* What a record is of: the path's bytes, the content, and the settings it was made with. sha256 NULL: the content was not read. */
batch_id batch_record_id(const char *path, const char *sha256, const char *settings);

typedef struct {
    batch_id id;
    bool failed;
    char settings[17];
} batch_record_facts;
/* Of one line without its newline. False: it is no whole record. json (may be NULL): the object, to be deleted. */
bool batch_record_read(const char *line, size_t n, batch_record_facts *facts, cJSON **json);
/* Whether these bytes are how the line of a record begins. */
bool batch_record_begins(const char *bytes, size_t n);

/* Rows of RFC 4180 with CRLF at their ends, the first with the names of the columns. `fields` is an object whose keys are those of the
 * records' "data": a column each, behind the usual ones. */
void batch_csv_add_fields(cJSON *fields, const cJSON *record);
void batch_csv_head(FILE *f, const cJSON *fields);
void batch_csv_row(FILE *f, const cJSON *record, const cJSON *fields);

#endif
