/* options.h: the one table of options. It drives the parser, the help, the man page and the shell completion. */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <senses.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sets of options. A command takes the sets it names; a row of the table says to which sets it belongs. */
enum {
    SET_COMMON = 1u << 0,     /* -h -q -v */
    SET_JSON = 1u << 1,       /* --json */
    SET_ENGINE = 1u << 2,     /* -t --isa */
    SET_TEXT = 1u << 3,       /* -m */
    SET_MMPROJ = 1u << 4,     /* --mmproj */
    SET_WHISPER = 1u << 5,    /* --whisper */
    SET_IMAGE = 1u << 6,      /* --image-fit --max-pixels */
    SET_MEDIA = 1u << 7,      /* --image --audio --video --max-frames */
    SET_MEDIA_TEXT = 1u << 8, /* --text */
    SET_PROMPT = 1u << 9,     /* -c --kv-type --system --chat-template */
    SET_SAMPLING = 1u << 10,  /* -n and how the next token is chosen */
    SET_RAW = 1u << 11,       /* --raw */
    SET_OUTPUT = 1u << 12,    /* -o */
    SET_LORA = 1u << 13,      /* --lora */
    SET_CACHE = 1u << 14,     /* --no-cache --cache-size */
    SET_GRAMMAR = 1u << 15,   /* --grammar --json-schema --fields */
    /* what one command alone takes */
    SET_DESCRIBE = 1u << 16,
    SET_TRANSCRIBE = 1u << 17,
    SET_ASK = 1u << 18,
    SET_TOKENIZE = 1u << 19,
    SET_ENCODE = 1u << 20,
    SET_LOGITS = 1u << 21,
    SET_BENCH = 1u << 22,
    SET_SKETCH = 1u << 23,
    SET_QUANTIZE = 1u << 24,
    SET_BATCH = 1u << 25,
    SET_CONVERT = 1u << 26,
    SET_AUDIT = 1u << 27, /* --audit */
    SET_INFO = 1u << 28,
    SET_PERPLEXITY = 1u << 29,
    SET_PRECISION = 1u << 30 /* --precision */
};

typedef enum { MEDIUM_IMAGE, MEDIUM_AUDIO, MEDIUM_VIDEO, MEDIUM_TEXT } cli_medium_kind;
typedef struct {
    cli_medium_kind kind;
    const char *path;
} cli_medium;

typedef struct {
    char *path; /* malloc'ed */
    float scale;
} cli_lora;

/* Which files of a folder: the patterns of --include and --exclude in the order given. */
typedef struct {
    bool exclude;
    const char *pattern;
} cli_glob;

#define CLI_UNSET ((size_t)-1) /* of a count: not given */
enum { CLI_MAX_MMPROJ = 2 };   /* one for images, one for audio */

/* What the command line says. Strings point into argv. */
typedef struct {
    uint64_t given[2]; /* bit i % 64 of i / 64: row i of the table was given */
    bool help, quiet, verbose, json;
    const char *model, *whisper;
    const char *mmproj[CLI_MAX_MMPROJ];
    size_t n_mmproj;
    cli_lora *lora; /* in the order given */
    size_t n_lora;
    size_t threads; /* 0: the library's choice */
    const char *isa;
    const char *image_fit;
    size_t max_pixels;
    size_t max_frames; /* of a video */
    bool no_sandbox, accept_truncated;
    bool audit;
    bool no_cache; /* also for commands without SET_CACHE */
    size_t cache_mib;
    senses_session_params session; /* sampling, context size, template */
    size_t n_predict;              /* CLI_UNSET: not given */
    cli_medium *media;             /* in the order given */
    size_t n_media;
    const char *grammar, *schema, *fields; /* at most one */
    const char *draft, *kv_type, *precision;
    const char *output;
    const char *prompt;                                           /* describe, batch */
    const char *format;                                           /* transcribe */
    const char *language;                                         /* transcribe, batch */
    bool translate;                                               /* transcribe, batch */
    float first_temperature;                                      /* transcribe */
    bool ids;                                                     /* ask */
    bool no_special;                                              /* tokenize */
    bool mel;                                                     /* encode */
    bool all;                                                     /* logits */
    bool allow_requantize;                                        /* quantize */
    const char *convert_mmproj;                                   /* convert */
    const char *convert_type;                                     /* convert */
    size_t bench_prompt, bench_repeats;                           /* bench */
    const char *style, *title;                                    /* sketch */
    bool open;                                                    /* sketch */
    const char *task, *files_from, *sidecar, *csv, *shard, *join; /* batch; sidecar "": the usual one */
    bool null_names, overwrite, retry_failed, dry_run;            /* batch */
    size_t timeout, max_duration;                                 /* batch; seconds, 0: none */
    size_t parallel;                                              /* batch; files at once */
    cli_glob *globs;                                              /* batch */
    size_t n_globs;
    char **operands; /* what is no option, in order */
    size_t n_operands;
} cli_options;

typedef enum {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_FILE,
    OPTION_CHOICE,
    OPTION_COUNT,
    OPTION_SEED,
    OPTION_REAL,
    OPTION_MMPROJ,
    OPTION_LORA,
    OPTION_MEDIUM,
    OPTION_INCLUDE,
    OPTION_EXCLUDE,
    OPTION_MAYBE /* a text that may be left out: --name or --name=TEXT */
} option_kind;
typedef enum { SECTION_COMMAND, SECTION_MODEL, SECTION_ANSWER, SECTION_RUN, SECTION_COUNT } option_section;

typedef struct {
    uint32_t sets; /* SET_*: one in common with the command is enough */
    option_section section;
    char letter; /* 0: none */
    const char *name;
    option_kind kind;
    const char *arg;  /* how the help calls the value; NULL for flags */
    const char *help; /* begins with a small letter, no full stop */
    size_t field;     /* offset in cli_options */
    double min, max;  /* of numbers; also shown when a value is refused */
    const char *const *choices;
    cli_medium_kind medium;
    bool show_default; /* the help adds the number that options_init puts there */
} option;

extern const char *const option_section_names[SECTION_COUNT];
const option *option_table(size_t *n);

/* The values before any option was seen. */
void options_init(cli_options *o);
void options_free(cli_options *o);

/* Reads argv (without program and command). sets: what the command takes. Stops at -h. On failure *problem is a malloc'ed
 * sentence and the result false. *o must be from options_init, and be given to options_free in any case. */
bool options_parse(cli_options *o, uint32_t sets, int argc, char **argv, char **problem);

/* Takes a value from elsewhere, as the environment, as if --name=value stood on the command line, unless --name did. */
bool options_default(cli_options *o, const char *name, const char *value, char **problem);
/* Whether the option --name was given. */
bool options_given(const cli_options *o, const char *name);

/* The word of a NULL-terminated list that is nearest to `word`, NULL when none is near: for "did you mean". */
const char *options_nearest(const char *word, const char *const *list);

#endif
