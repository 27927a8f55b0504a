/* senses chat: a conversation, a line at a time. */
#include "answer.h"
#include "audit.h"
#include "command.h"
#include "interrupt.h"
#include "output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    cli_runtime rt;
    senses_session *session;
    cli_media pending;     /* media for the next question */
    cli_buffer transcript; /* what /save writes */
    bool failed, quit;
} chat;

static const char chat_help[] = "Type a question and press Enter. Lines that begin with / are commands:\n"
                                "  /image FILE   show a picture with the next question\n"
                                "  /audio FILE   play a recording with the next question\n"
                                "  /video FILE   show a video with the next question\n"
                                "  /text FILE    give a text file with the next question\n"
                                "  /clear        forget the conversation\n"
                                "  /save FILE    write the conversation to a file\n"
                                "  /help         show this\n"
                                "  /quit         end (also Ctrl-D); Ctrl-C stops an answer, or the reading of a picture\n";

/* A picture is read here, which Ctrl-C stops as it stops an answer. */
static bool add_medium(chat *c, const cli_medium *medium)
{
    if (medium->kind == MEDIUM_IMAGE || medium->kind == MEDIUM_VIDEO) interrupt_soft(true);
    bool good = media_add(&c->pending, &c->rt, medium);
    interrupt_soft(false);
    return good;
}

static void do_medium(chat *c, cli_medium_kind kind, const char *path)
{
    static const char *const names[] = {
        [MEDIUM_IMAGE] = "image", [MEDIUM_AUDIO] = "audio", [MEDIUM_VIDEO] = "video", [MEDIUM_TEXT] = "text"};
    const cli_medium medium = {kind, path};
    if (path[0] == '\0') {
        diag_error("which file? for example: /%s FILE", names[kind]);
        c->failed = true;
    } else if (strcmp(path, "-") == 0) {
        diag_error("standard input is the conversation; name a file");
        c->failed = true;
    } else if (!add_medium(c, &medium)) {
        c->failed = true;
    }
}

static void do_save(chat *c, const char *path)
{
    cli_outfile out;
    if (path[0] == '\0') {
        diag_error("which file? for example: /save talk.txt");
        c->failed = true;
        return;
    }
    if (!outfile_open(&out, path)) {
        c->failed = true;
        return;
    }
    fwrite(c->transcript.data, 1, c->transcript.n, out.f);
    if (outfile_commit(&out))
        diag_note(c->rt.o, "saved to %s", path);
    else
        c->failed = true;
}

static void do_clear(chat *c)
{
    senses_session_clear(c->session);
    media_clear(&c->pending);
    c->rt.partial = false;
    audit_clear(&c->rt);
    c->transcript.n = 0;
    diag_note(c->rt.o, "the conversation was forgotten");
}

static void do_command(chat *c, char *line)
{
    size_t n = strcspn(line, " \t");
    char *rest = line + n + strspn(line + n, " \t");
    line[n] = '\0';
    if (strcmp(line, "/image") == 0)
        do_medium(c, MEDIUM_IMAGE, rest);
    else if (strcmp(line, "/audio") == 0)
        do_medium(c, MEDIUM_AUDIO, rest);
    else if (strcmp(line, "/video") == 0)
        do_medium(c, MEDIUM_VIDEO, rest);
    else if (strcmp(line, "/text") == 0)
        do_medium(c, MEDIUM_TEXT, rest);
    else if (strcmp(line, "/save") == 0)
        do_save(c, rest);
    else if (strcmp(line, "/clear") == 0)
        do_clear(c);
    else if (strcmp(line, "/help") == 0)
        fputs(chat_help, stderr);
    else if (strcmp(line, "/quit") == 0 || strcmp(line, "/exit") == 0)
        c->quit = true;
    else {
        diag_error("unknown command '%s'; /help shows the commands", line);
        c->failed = true;
    }
}

static void note(cli_buffer *b, const char *who, const char *text)
{
    buffer_add(b, who, strlen(who));
    buffer_add(b, ": ", 2);
    buffer_add(b, text, strlen(text));
    buffer_add(b, "\n", 1);
}

static void do_question(chat *c, const char *line)
{
    cli_answer a = {.ids = NULL};
    interrupt_soft(true);
    if (answer_get(&a, &c->rt, c->session, line, &c->pending, !c->rt.o->json) == EXIT_DONE) {
        note(&c->transcript, "you", line);
        note(&c->transcript, "model", a.text.data);
        media_clear(&c->pending);
        if (c->rt.o->json) {
            cJSON *j = answer_json(NULL, NULL, "chat", senses_text_path(c->rt.text));
            json_add_text(j, "text", a.text.data, a.text.n);
            if (c->rt.partial) must(cJSON_AddTrueToObject(j, "partial"));
            audit_add(j, &c->rt);
            json_add_number(j, "tokens", (double)a.n_ids);
            answer_add_draft(j, c->rt.o, &a);
            json_add_decimal(j, "seconds", a.seconds, 3);
            out_json(j);
        }
        c->rt.partial = false;
        audit_clear(&c->rt);
    } else {
        diag_note(c->rt.o, "the conversation may have grown too long; /clear begins a new one");
        c->failed = true;
    }
    interrupt_soft(false);
    answer_free(&a);
}

static void do_line(chat *c, char *line)
{
    size_t n = strlen(line);
    while (n > 0 && strchr(" \t\r\n", line[n - 1]) != NULL) line[--n] = '\0';
    line += strspn(line, " \t");
    if (line[0] == '/')
        do_command(c, line);
    else if (line[0] != '\0')
        do_question(c, line);
}

static void converse(chat *c)
{
    bool person = isatty(STDIN_FILENO) != 0;
    char *line = NULL;
    size_t room = 0;
    if (person) diag_note(c->rt.o, "/help shows the commands, /quit ends");
    while (!c->quit && !ferror(stdout)) {
        if (person && !c->rt.o->quiet) fputs("> ", stderr);
        if (getline(&line, &room, stdin) < 0) break;
        do_line(c, line);
    }
    if (ferror(stdin)) {
        diag_error("standard input: %s", strerror(errno));
        c->failed = true;
    }
    if (person && !c->quit && !c->rt.o->quiet) fputs("\n", stderr);
    free(line);
    if (person) c->failed = false; /* who saw the message does not need the status */
}

/* A context that a conversation can grow in: the model's own, within reason. */
static senses_session *open_session(cli_runtime *rt)
{
    enum { CONTEXT = 8192 };
    cli_options mine = *rt->o;
    const cli_options *given = rt->o;
    size_t own = senses_text_n_ctx_train(rt->text);
    if (mine.session.n_ctx == 0) mine.session.n_ctx = own < CONTEXT ? own : CONTEXT;
    rt->o = &mine;
    senses_session *s = runtime_session(rt);
    rt->o = given;
    return s;
}

static int run(const cli_options *o)
{
    chat c = {.failed = true};
    if (!runtime_fit_fits(o, "chat") || !runtime_grammar_once(o, "chat")) return EXIT_USAGE;
    runtime_init(&c.rt, o);
    for (size_t i = 0; i < o->n_media; i++)
        if (strcmp(o->media[i].path, "-") == 0) return diag_usage("chat", "chat: standard input is the conversation; name a file");
    if (runtime_pair(&c.rt) && media_load(&c.pending, &c.rt)) c.session = open_session(&c.rt);
    if (c.session != NULL) {
        c.failed = false;
        buffer_add(&c.transcript, "", 0);
        converse(&c);
    }
    senses_session_close(c.session);
    media_free(&c.pending);
    free(c.transcript.data);
    runtime_close(&c.rt);
    return c.failed ? EXIT_FAILED : EXIT_DONE;
}

const cli_command cmd_chat = {
    .name = "chat",
    .operands = "",
    .summary = "hold a conversation",
    .details = "Reads questions from standard input, a line each, and writes the answers. Media given as options go with the first "
               "question. Lines "
               "that begin with / are commands: /image FILE, /audio FILE, /video FILE and /text FILE add a medium to the next question, "
               "/clear forgets "
               "the conversation, /save FILE writes it down, /help lists the commands, /quit ends. Ctrl-C stops an answer, or the reading "
               "of a picture. Pictures and "
               "recordings reach the model as with ask: without encoders for them as the page that is read in them and as a transcript.",
    .examples = "senses chat\n"
                "senses chat --system \"Answer in one sentence.\" --audio talk.mp3\n"
                "printf 'Hello.\\nWhat did I say?\\n' | senses chat -q",
    .sets = SET_COMMON | SET_AUDIT | SET_CACHE | SET_JSON | SET_ENGINE | SET_TEXT | SET_LORA | SET_PRECISION | SET_MMPROJ | SET_WHISPER |
            SET_IMAGE | SET_MEDIA | SET_MEDIA_TEXT | SET_PROMPT | SET_SAMPLING | SET_GRAMMAR,
    .min_operands = 0,
    .max_operands = 0,
    .run = run,
};
