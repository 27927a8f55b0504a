#include "help.h"

#include <stdlib.h>
#include <string.h>

#include "output.h"

enum { WIDTH = 88, INDENT = 30 };

static void put(const char *s)
{
    out_text(s, strlen(s));
}

/* Words of s in lines of WIDTH columns; the first line goes on at `column`, the others begin at `indent`. "\n" ends a paragraph. */
static void put_wrapped(const char *s, size_t column, size_t indent)
{
    bool first = true;
    while (*s != '\0') {
        size_t n = strcspn(s, " \n");
        if (!first && column + 1 + n > WIDTH) {
            out_line("%s", "");
            for (column = 0; column < indent; column++) put(" ");
            first = true;
        }
        if (!first) {
            put(" ");
            column++;
        }
        out_text(s, n);
        column += n;
        first = false;
        s += n;
        if (*s == '\n') {
            out_line("%s", "");
            for (column = 0; column < indent; column++) put(" ");
            first = true;
        }
        if (*s != '\0') s++;
    }
    put("\n");
}

/* The number that options_init leaves in the field, as the help shows it. malloc'ed; NULL when the row shows none. */
static char *default_of(const option *row)
{
    cli_options o;
    if (!row->show_default) return NULL;
    options_init(&o);
    const char *field = (const char *)&o + row->field;
    if (row->kind == OPTION_REAL) return text_format("%g", (double)*(const float *)(const void *)field);
    if (row->kind == OPTION_SEED) return text_format("%llu", (unsigned long long)*(const uint64_t *)(const void *)field);
    return text_format("%zu", *(const size_t *)(const void *)field);
}

/* The help of a row with its default behind it. malloc'ed. */
static char *help_of(const option *row)
{
    char *value = default_of(row);
    char *help = value != NULL ? text_format("%s (default: %s)", row->help, value) : must(strdup(row->help));
    free(value);
    return help;
}

static void put_option(const option *row)
{
    char letter[8] = "    ";
    if (row->letter != 0) snprintf(letter, sizeof letter, "-%c, ", row->letter);
    char *names = text_format("  %s--%s%s%s", letter, row->name, row->arg != NULL && row->kind != OPTION_MAYBE ? " " : "",
                              row->arg != NULL ? row->arg : "");
    char *help = help_of(row);
    size_t n = strlen(names);
    put(names);
    if (n + 2 > INDENT) {
        put("\n");
        n = 0;
    }
    for (; n < INDENT; n++) put(" ");
    put_wrapped(help, INDENT, INDENT);
    free(help);
    free(names);
}

static void put_lines(const char *lines, const char *before)
{
    for (const char *s = lines; *s != '\0';) {
        size_t n = strcspn(s, "\n");
        out_line("%s%.*s", before, (int)n, s);
        s += n + (s[n] == '\n');
    }
}

void help_command(const cli_command *c)
{
    size_t n;
    const option *rows = option_table(&n);
    out_line("Usage: senses %s [OPTION...]%s%s", c->name, c->operands[0] != '\0' ? " " : "", c->operands);
    put("\n");
    put_wrapped(c->details, 0, 0);
    put("\nExamples:\n");
    put_lines(c->examples, "  ");
    for (int section = 0; section < SECTION_COUNT; section++) {
        bool any = false;
        for (size_t i = 0; i < n; i++) {
            if (rows[i].section != (option_section)section || (rows[i].sets & c->sets) == 0) continue;
            if (!any) out_line("\n%s:", option_section_names[section]);
            any = true;
            put_option(&rows[i]);
        }
    }
}

void help_program(void)
{
    put("senses: gives a Llama eyes and ears. Pictures, recordings and texts go in, text comes out.\n\n"
        "Usage: senses COMMAND [OPTION...] [ARGUMENT...]\n\nCommands:\n");
    for (size_t i = 0; commands[i] != NULL; i++) out_line("  %-12s %s", commands[i]->name, commands[i]->summary);
    out_line("  %-12s %s", "help", "show this, or the help of a command: senses help COMMAND");
    put("\nExamples:\n"
        "  senses transcribe talk.mp3\n"
        "  senses ask --audio talk.mp3 \"What does the speaker ask for?\"\n"
        "  senses ask --image page.jpg \"What does the second button say?\"\n"
        "  senses describe -m llava.gguf --mmproj mmproj.gguf photo.jpg\n"
        "  senses sketch -o page.html --open drawing.jpg\n"
        "\nOptions of a command: senses COMMAND --help. Version: senses --version.\n"
        "As an input, - is standard input. Results go to standard output, everything else to\n"
        "standard error. Models are looked for in $SENSES_HOME/models ('senses models' lists them).\n"
        "Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n");
}

/* ---- man page ---- */

/* Text with what troff reads as commands made harmless. */
static void man_text(const char *s, size_t n)
{
    bool line_start = true;
    for (size_t i = 0; i < n; i++) {
        if (line_start && (s[i] == '.' || s[i] == '\'')) put("\\&");
        if (s[i] == '\\')
            put("\\e");
        else if (s[i] == '-')
            put("\\-");
        else
            out_text(s + i, 1);
        line_start = s[i] == '\n';
    }
}

static void man_lines(const char *s, const char *between)
{
    while (*s != '\0') {
        size_t n = strcspn(s, "\n");
        man_text(s, n);
        put("\n");
        s += n + (s[n] == '\n');
        if (*s != '\0') put(between);
    }
}

static void man_option(const option *row)
{
    char *help = help_of(row);
    put(".TP\n");
    if (row->letter != 0) out_line("\\fB\\-%c\\fR,", row->letter);
    put("\\fB\\-\\-");
    man_text(row->name, strlen(row->name));
    put("\\fR");
    if (row->arg != NULL) out_line("%s\\fI%s\\fR", row->kind == OPTION_MAYBE ? "" : " ", row->arg);
    if (row->arg == NULL) put("\n");
    man_text(help, strlen(help));
    put(".");
    size_t listed = 0, takers = 0, all = 0;
    for (size_t i = 0; commands[i] != NULL; i++, all++) takers += (commands[i]->sets & row->sets) != 0;
    for (size_t i = 0; commands[i] != NULL && takers < all; i++) {
        if ((commands[i]->sets & row->sets) == 0) continue;
        put(listed == 0 ? "\nTaken by \\fB" : listed + 1 == takers ? "\\fR and \\fB" : "\\fR, \\fB");
        put(commands[i]->name);
        listed++;
    }
    put(listed > 0 ? "\\fR.\n" : "\n");
    free(help);
}

static void man_commands(void)
{
    put(".SH COMMANDS\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        const cli_command *c = commands[i];
        out_line(".SS %s", c->name);
        out_line(".B senses %s\n[\\fIOPTION\\fR...] \\fI%s\\fR\n.PP", c->name, c->operands);
        man_lines(c->details, ".PP\n");
        put(".PP\n.nf\n");
        man_lines(c->examples, "");
        put(".fi\n");
    }
}

void help_man(void)
{
    size_t n;
    const option *rows = option_table(&n);
    out_line(".TH SENSES 1 \"\" \"senses %s\" \"User Commands\"", SENSES_VERSION);
    put(".SH NAME\nsenses \\- give a Llama eyes and ears: pictures, recordings and texts in, text out\n"
        ".SH SYNOPSIS\n.B senses\n\\fICOMMAND\\fR [\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]\n"
        ".SH DESCRIPTION\nRuns multimodal models from GGUF files on the processor of this machine. As an input, \\fB\\-\\fR is standard "
        "input; "
        "\\fB\\-\\-\\fR ends the options. Results go to standard output, progress, timings and messages to standard error.\n");
    man_commands();
    put(".SH OPTIONS\n");
    for (int section = 0; section < SECTION_COUNT; section++) {
        out_line(".SS %s", section == SECTION_COMMAND ? "Of single commands" : option_section_names[section]);
        for (size_t i = 0; i < n; i++)
            if (rows[i].section == (option_section)section) man_option(&rows[i]);
    }
    put(".SH EXIT STATUS\n.TP\n0\ndone\n.TP\n1\nfailed; one line on standard error says what\n.TP\n2\nwrong usage\n.TP\n130\ninterrupted\n"
        ".SH ENVIRONMENT\n.TP\n.B SENSES_HOME\nits folder \\fImodels\\fR holds the models that are given by name\n"
        ".TP\n.B XDG_DATA_HOME\nwithout SENSES_HOME, models are in \\fI$XDG_DATA_HOME/senses/models\\fR (default: "
        "\\fI$HOME/.local/share/senses/models\\fR)\n"
        ".TP\n.B XDG_CACHE_HOME\nencoded pictures and sounds are kept in \\fI$XDG_CACHE_HOME/senses/media\\fR (default: "
        "\\fI$HOME/.cache/senses/media\\fR), which may be deleted at any time\n"
        ".TP\n.B SENSES_CACHE_SIZE\nhow much of them, in MiB, where \\fB\\-\\-cache\\-size\\fR is not given\n"
        ".TP\n.B SENSES_ISA\ninstruction set where \\fB\\-\\-isa\\fR is not given\n.TP\n.B NO_COLOR\nno colour when set\n");
}

/* ---- completion ---- */

/* The words of an option list for one command: every "--name" and "-x". */
static void put_option_words(const cli_command *c)
{
    size_t n;
    const option *rows = option_table(&n);
    for (size_t i = 0; i < n; i++) {
        if ((rows[i].sets & c->sets) == 0) continue;
        char *word = text_format(" --%s", rows[i].name);
        put(word);
        free(word);
        if (rows[i].letter != 0) {
            char letter[] = {' ', '-', rows[i].letter, '\0'};
            put(letter);
        }
    }
}

static void bash_values(void)
{
    size_t n;
    const option *rows = option_table(&n);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].choices == NULL) continue;
        char letter[] = {'|', '-', rows[i].letter, '\0'};
        char *head = text_format("    --%s%s) COMPREPLY=($(compgen -W \"", rows[i].name, rows[i].letter != 0 ? letter : "");
        put(head);
        free(head);
        for (size_t k = 0; rows[i].choices[k] != NULL; k++) {
            if (k > 0) put(" ");
            put(rows[i].choices[k]);
        }
        put("\" -- \"$cur\")); return ;;\n");
    }
    put("    --model|-m|--mmproj|--whisper) COMPREPLY=($(compgen -W \"$(senses models -q 2>/dev/null | cut -d' ' -f1)\" -- \"$cur\") "
        "$(compgen -f -- \"$cur\")); return ;;\n");
}

static void completion_bash(void)
{
    put("# bash completion for senses; made by: senses help --completion bash\n_senses()\n{\n    local cur=${COMP_WORDS[COMP_CWORD]} "
        "prev=${COMP_WORDS[COMP_CWORD-1]} words=\n    COMPREPLY=()\n    if ((COMP_CWORD == 1)); then\n        COMPREPLY=($(compgen -W \"");
    for (size_t i = 0; commands[i] != NULL; i++) {
        put(commands[i]->name);
        put(" ");
    }
    put("help --help --version\" -- \"$cur\"))\n        return\n    fi\n    case $prev in\n");
    bash_values();
    put("    esac\n    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        char *head = text_format("    %s) words=\"", commands[i]->name);
        put(head);
        free(head);
        put_option_words(commands[i]);
        put("\" ;;\n");
    }
    put("    help) words=\"");
    for (size_t i = 0; commands[i] != NULL; i++) {
        put(" ");
        put(commands[i]->name);
    }
    put("\" ;;\n    esac\n    if [[ $cur == -* || ${COMP_WORDS[1]} == help ]]; then\n        COMPREPLY=($(compgen -W \"$words\" -- "
        "\"$cur\"))\n"
        "    else\n        compopt -o filenames 2>/dev/null\n        local IFS=$'\\n'\n        COMPREPLY=($(compgen -f -- \"$cur\"))\n    "
        "fi\n}\n"
        "complete -F _senses senses\n");
}

/* s between single quotes of a shell; also without the brackets and colons that _arguments reads. */
static void put_quoted(const char *s, bool zsh)
{
    for (; *s != '\0'; s++) {
        if (*s == '\'')
            put(zsh ? "'\\''" : "\\'");
        else if (zsh && strchr("[]:", *s) != NULL)
            put(*s == ':' ? "\\:" : *s == '[' ? "\\[" : "\\]");
        else if (!zsh && *s == '\\')
            put("\\\\");
        else
            out_text(s, 1);
    }
}

static void zsh_option(const option *row)
{
    bool many = row->kind == OPTION_MEDIUM || row->kind == OPTION_MMPROJ || row->kind == OPTION_LORA;
    bool globs = row->kind == OPTION_INCLUDE || row->kind == OPTION_EXCLUDE;
    char letter[] = {'-', row->letter, '\0'};
    put("      '");
    if (many || globs) put("*");
    if (row->letter != 0) {
        char *both = text_format("(%s --%s)'{%s,--%s}'", letter, row->name, letter, row->name);
        put(both);
        free(both);
    } else {
        put("--");
        put(row->name);
    }
    put("[");
    put_quoted(row->help, true);
    put("]");
    if (row->arg != NULL && row->kind != OPTION_MAYBE) {
        put(":");
        put(row->arg);
        put(":");
        if (row->choices != NULL) {
            put("(");
            for (size_t k = 0; row->choices[k] != NULL; k++) {
                if (k > 0) put(" ");
                put(row->choices[k]);
            }
            put(")");
        } else if (many || row->kind == OPTION_FILE) {
            put("_files");
        }
    }
    put("' \\\n");
}

static void completion_zsh(void)
{
    size_t n;
    const option *rows = option_table(&n);
    put("#compdef senses\n# zsh completion for senses; made by: senses help --completion zsh\nlocal -a list\nlist=(\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        put("  '");
        put(commands[i]->name);
        put(":");
        put_quoted(commands[i]->summary, true);
        put("'\n");
    }
    put("  'help:show the help'\n)\nif (( CURRENT == 2 )); then\n  _describe command list\n  return\nfi\nlocal cmd=$words[2]\nshift words\n"
        "(( CURRENT-- ))\ncase $cmd in\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        out_line("  %s)\n    _arguments -s -S \\", commands[i]->name);
        for (size_t k = 0; k < n; k++)
            if ((rows[k].sets & commands[i]->sets) != 0) zsh_option(&rows[k]);
        put("      '*:argument:_files' ;;\n");
    }
    put("  help) _describe command list ;;\nesac\n");
}

static void completion_fish(void)
{
    size_t n;
    const option *rows = option_table(&n);
    put("# fish completion for senses; made by: senses help --completion fish\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        char *head = text_format("complete -c senses -n __fish_use_subcommand -a %s -d '", commands[i]->name);
        put(head);
        free(head);
        put_quoted(commands[i]->summary, false);
        put("'\n");
    }
    for (size_t i = 0; commands[i] != NULL; i++) {
        for (size_t k = 0; k < n; k++) {
            if ((rows[k].sets & commands[i]->sets) == 0) continue;
            char *head = text_format("complete -c senses -n '__fish_seen_subcommand_from %s' -l %s%s", commands[i]->name, rows[k].name,
                                     rows[k].kind != OPTION_FLAG ? " -r" : "");
            put(head);
            free(head);
            if (rows[k].letter != 0) {
                char letter[] = {' ', '-', 's', ' ', rows[k].letter, '\0'};
                put(letter);
            }
            if (rows[k].choices != NULL) {
                put(" -a '");
                for (size_t c = 0; rows[k].choices[c] != NULL; c++) {
                    put(rows[k].choices[c]);
                    put(" ");
                }
                put("'");
            }
            put(" -d '");
            put_quoted(rows[k].help, false);
            put("'\n");
        }
    }
}

bool help_completion(const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        completion_bash();
    else if (strcmp(shell, "zsh") == 0)
        completion_zsh();
    else if (strcmp(shell, "fish") == 0)
        completion_fish();
    else
        return false;
    return true;
}
