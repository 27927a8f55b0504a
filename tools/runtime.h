/* runtime.h: the models of one run, opened when they are first needed. Every function that fails has said why on standard error. */
#ifndef TOOLS_RUNTIME_H
#define TOOLS_RUNTIME_H

#include <cjson/cJSON.h>

#include "options.h"

typedef struct {
    const cli_options *o;
    senses_engine *engine;
    senses_text *text;
    senses_encoder *encoders[CLI_MAX_MMPROJ];
    size_t n_encoders;
    senses_cache *cache; /* of these encoders */
    senses_whisper *whisper;
    char *whisper_path;
    senses_encoder *page_encoder; /* the default pair that reads pages */
    senses_text *page_text;
    senses_reader *reader;
    double deadline_s;        /* of clock_s, for the file that is worked on; 0: none */
    bool timed_out;           /* it passed */
    void (*tick)(void *user); /* may be NULL: called now and then while a file is worked on */
    void *tick_user;
    bool too_long; /* its sound is longer than --max-duration */
    char *grammar; /* GBNF of --grammar, --json-schema or --fields; NULL until a session needs it */
    bool partial;  /* of a page only the beginning was read, or of a truncated file what was there: said, and put into results; who asks for
                        * another result clears it */
    cJSON *faint;  /* what --audit found for the present result: an array (audit.h) */
    bool reader_noted; /* it was said what the default pair can see */
    senses_error last; /* what runtime_say said last: the error of a JSON result */
} cli_runtime;

void runtime_init(cli_runtime *rt, const cli_options *o);
void runtime_close(cli_runtime *rt);
bool runtime_engine(cli_runtime *rt);
bool runtime_text(cli_runtime *rt);     /* with its adapters */
bool runtime_encoders(cli_runtime *rt); /* all of --mmproj, which may be none */
bool runtime_pair(cli_runtime *rt);     /* both, and each encoder can be the text model's */
bool runtime_whisper(cli_runtime *rt);
bool runtime_language(const cli_runtime *rt); /* after it: the language and the translation that were asked for can be had of it */

/* The encoder of a kind, NULL when none was given; after runtime_encoders. */
senses_encoder *runtime_encoder(const cli_runtime *rt, senses_medium_kind kind);
/* All of --mmproj, for a command that works on pictures alone: one of them must see `file`, or there is none at all. */
bool runtime_eyes(cli_runtime *rt, const char *file);

/* The reader of pages: with the image encoder of runtime_encoders and the text model, or without one with the default pair. NULL:
 * said on standard error. */
senses_reader *runtime_reader(cli_runtime *rt);
/* The file that writes the pages, as results name it; NULL before there is a reader. */
const char *runtime_reader_path(const cli_runtime *rt);

senses_image_fit runtime_fit(const cli_options *o);
/* --image-fit is for an image encoder that was given; false, and said as wrong usage, where there is none. */
bool runtime_fit_fits(const cli_options *o, const char *command);
/* Of --grammar, --json-schema and --fields at most one; else that was said. */
bool runtime_grammar_once(const cli_options *o, const char *command);
/* What answers must be, as GBNF in rt->grammar: read once. Also true when nothing was said. */
bool runtime_grammar(cli_runtime *rt);
/* NULL: said. Also where Ctrl-C was pressed meanwhile and is not to end the program (interrupt_soft). */
senses_image *runtime_image(cli_runtime *rt, const char *path);
/* Warns of a truncated file that was accepted, and marks the result; how_much "": it is whole. */
void runtime_note_partial(cli_runtime *rt, const char *path, const char *how_much);
/* Whether to go on with the present file: neither was Ctrl-C pressed nor has its time run out. */
bool runtime_go_on(cli_runtime *rt);
/* The same while a sound is heard: done of total seconds, total < 0: unknown. */
bool runtime_go_on_hearing(cli_runtime *rt, double done_s, double total_s);
/* Says why the work on a file was stopped. */
void runtime_say_stopped(cli_runtime *rt, const char *path);
senses_session *runtime_session(cli_runtime *rt);

/* Says a library error, and keeps it in rt->last. Returns EXIT_FAILED. */
int runtime_say(cli_runtime *rt, const senses_error *err);
/* The last part of a path: how results name a model. */
const char *path_base(const char *path);
/* "-" stands for standard input once at most: false, and said as wrong usage, when it stands more often. */
bool runtime_stdin_once(const cli_options *o, const char *command);

#endif
