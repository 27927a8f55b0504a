/* audit.h: --audit: pictures are looked through for what a person does not see, before a model sees them. */
#ifndef TOOLS_AUDIT_H
#define TOOLS_AUDIT_H

#include "runtime.h"

/* With --audit: warns of faint text, also under -q, for that was asked for, and keeps what was found for the result. False: said, the
 * picture could not be looked through. `name`: as messages call it; of a frame, the film's path and the time. */
bool audit_image(cli_runtime *rt, const char *name, const senses_image *img);
bool audit_frame(cli_runtime *rt, const char *path, const char *time, const senses_image *img);

/* With --audit: the field "faint_text", an object for each picture with such text, which then is forgotten. */
void audit_add(cJSON *object, cli_runtime *rt);
/* Another result begins. */
void audit_clear(cli_runtime *rt);

#endif
