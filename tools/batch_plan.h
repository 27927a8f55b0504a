/* batch_plan.h: what a batch would do, before it is done. */
#ifndef TOOLS_BATCH_PLAN_H
#define TOOLS_BATCH_PLAN_H

#include "batch_run.h"

/* Counts the files by kind, does the first picture and times the speech model, and says what all of them would take. Nothing is
 * written. Status of the program. */
int batch_plan(batch_run *b);

#endif
