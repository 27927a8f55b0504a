/* chat.c: how conversations are framed for the models, as a table of templates.
 *
 * A GGUF carries its template as a Jinja program. It is not run: the few forms that are in use are known here, recognised by
 * what only their programs contain, and rendered as those programs render them (tests/golden/text holds Jinja's output).
 * Where programs of one form differ in a system message of their own, the commonest have a row each; what else they add (tools,
 * today's date, room for thoughts) is left out, the turns are theirs.
 *
 * A message is data: it leaves as a part of its own, never parsed for control tokens.
 *
 * Files without a program (converted before GGUF had the key, as the first LLaVA files are) are recognised by the control tokens
 * of their vocabulary, then by their name; SentencePiece files of which nothing is known get Vicuna's form, which LLaVA uses. */
#include "../core/mem.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

typedef struct { /* what stands around a message of one role */
    const char *before, *after;
    bool trims;               /* Python's str.strip() on the message */
    const char *before_media; /* instead of `before` where a medium begins the message; NULL: the same */
    const char *after_media;  /* behind each medium that stands ahead of the text */
} frame;

enum place { OWN_TURN, FIRST_USER, LAST_USER }; /* where the system message goes: inside a user's turn, ahead of its text */

struct txt_chat_template {
    const char *name;
    const char *has[4], *lacks[2]; /* what the Jinja program contains, all of it, and none of it; no `has`: there is none */
    const char *eos;               /* where the program says eos_token: the spelling that is written here; NULL: it does not */
    const char *begin;             /* ahead of everything */
    const char *no_system;         /* ahead of a conversation that does not begin with a system message */
    frame role[3];                 /* by txt_role */
    enum place system;
    bool trims_turn;     /* the user's message and the system message in it are stripped as one */
    bool answers_only;   /* of an earlier answer, what stands behind its last </think> */
    const char *between; /* ahead of every user's turn but the first: a bos token again */
    const char *open;    /* begins the answer */
    const char *stop;    /* see txt_chat_stop */
};

#define VICUNA_SYSTEM                                                                                                                      \
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers "   \
    "to the user's questions."
#define BAR "\xef\xbd\x9c" /* DeepSeek's full-width bar */
#define DEEPSEEK_END "<" BAR "end\xe2\x96\x81of\xe2\x96\x81sentence" BAR ">"

#define TURN(b, a)                                                                                                                         \
    {                                                                                                                                      \
        .before = b, .after = a                                                                                                            \
    }
#define TRIMMED(b, a)                                                                                                                      \
    {                                                                                                                                      \
        .before = b, .after = a, .trims = true                                                                                             \
    }
#define CHATML_TURNS                                                                                                                       \
    .role = {[TXT_SYSTEM] = TURN("<|im_start|>system\n", "<|im_end|>\n"),                                                                  \
             [TXT_USER] = TURN("<|im_start|>user\n", "<|im_end|>\n"),                                                                      \
             [TXT_ASSISTANT] = TURN("<|im_start|>assistant\n", "<|im_end|>\n")},                                                           \
    .open = "<|im_start|>assistant\n"
#define CHATML_SYSTEM(text) "<|im_start|>system\n" text "<|im_end|>\n"
#define SMOLVLM_TURN(who)                                                                                                                  \
    {                                                                                                                                      \
        .before = who ": ", .after = "<end_of_utterance>\n", .before_media = who ":"                                                       \
    }
#define LLAMA3_TURN(who) TRIMMED("<|start_header_id|>" who "<|end_header_id|>\n\n", "<|eot_id|>")
#define LLAMA3_DATES "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"

/* The first that fits is taken: the particular ones stand ahead of the general ones. */
static const txt_chat_template templates[] = {
    {.name = "smolvlm", /* SmolVLM, Idefics 3 */
     .has = {"<end_of_utterance>"},
     .begin = "<|im_start|>",
     .role = {[TXT_SYSTEM] = SMOLVLM_TURN("System"), [TXT_USER] = SMOLVLM_TURN("User"), [TXT_ASSISTANT] = SMOLVLM_TURN("Assistant")},
     .open = "Assistant:"},
    {.name = "phi4",
     .has = {"<|im_start|>", "<|im_sep|>"},
     .role = {[TXT_SYSTEM] = TURN("<|im_start|>system<|im_sep|>", "<|im_end|>"),
              [TXT_USER] = TURN("<|im_start|>user<|im_sep|>", "<|im_end|>"),
              [TXT_ASSISTANT] = TURN("<|im_start|>assistant<|im_sep|>", "<|im_end|>")},
     .open = "<|im_start|>assistant<|im_sep|>"},
    {.name = "smollm2",
     .has = {"<|im_start|>", "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>"},
     .no_system = CHATML_SYSTEM("You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
     CHATML_TURNS},
    {.name = "qwen2.5",
     .has = {"<|im_start|>", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>"},
     .no_system = CHATML_SYSTEM("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
     CHATML_TURNS},
    {.name = "qwen2", /* also Qwen2-VL, Qwen2.5-VL and Qwen2-Audio */
     .has = {"<|im_start|>", "You are a helpful assistant.<|im_end|>"},
     .no_system = CHATML_SYSTEM("You are a helpful assistant."),
     CHATML_TURNS},
    {.name = "qwen1.5",
     .has = {"<|im_start|>", "You are a helpful assistant<|im_end|>"},
     .no_system = CHATML_SYSTEM("You are a helpful assistant"),
     CHATML_TURNS},
    {.name = "chatml", .has = {"<|im_start|>"}, CHATML_TURNS},
    {.name = "mistral-v7",
     .has = {"[INST]", "[SYSTEM_PROMPT] "},
     .eos = "</s>",
     .role = {[TXT_SYSTEM] = TURN("[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]"),
              [TXT_USER] = TURN("[INST] ", "[/INST]"),
              [TXT_ASSISTANT] = TURN(" ", "</s>")},
     .open = ""},
    {.name = "mistral-v7-tekken",
     .has = {"[INST]", "[SYSTEM_PROMPT]"},
     .eos = "</s>",
     .role = {[TXT_SYSTEM] = TURN("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
              [TXT_USER] = TURN("[INST]", "[/INST]"),
              [TXT_ASSISTANT] = TURN("", "</s>")},
     .open = ""},
    {.name = "mistral-v1",
     .has = {"' [INST] ' + system_message"},
     .system = FIRST_USER,
     .eos = "</s>",
     .role = {[TXT_SYSTEM] = TURN("", "\n\n"), [TXT_USER] = TURN(" [INST] ", " [/INST]"), [TXT_ASSISTANT] = TURN(" ", "</s>")},
     .open = ""},
    {.name = "mistral-v3-first", /* the system message in the first turn, in the last one below */
     .has = {"\"[INST] \"", "[AVAILABLE_TOOLS]", "loop.first and system_message"},
     .system = FIRST_USER,
     .eos = "</s>",
     .role = {[TXT_SYSTEM] = TURN("", "\n\n"), [TXT_USER] = TURN("[INST] ", "[/INST]"), [TXT_ASSISTANT] = TRIMMED(" ", "</s>")},
     .open = ""},
    {.name = "mistral-v3",
     .has = {"\"[INST] \"", "[AVAILABLE_TOOLS]"},
     .system = LAST_USER,
     .eos = "</s>",
     .role = {[TXT_SYSTEM] = TURN("", "\n\n"), [TXT_USER] = TURN("[INST] ", "[/INST]"), [TXT_ASSISTANT] = TRIMMED(" ", "</s>")},
     .open = ""},
    {.name = "mistral-v3-tekken-first",
     .has = {"\"[INST]\"", "[AVAILABLE_TOOLS]", "loop.first and system_message"},
     .system = FIRST_USER,
     .eos = "</s>",
     .role = {[TXT_SYSTEM] = TURN("", "\n\n"), [TXT_USER] = TURN("[INST]", "[/INST]"), [TXT_ASSISTANT] = TURN("", "</s>")},
     .open = ""},
    {.name = "mistral-v3-tekken",
     .has = {"\"[INST]\"", "[AVAILABLE_TOOLS]"},
     .system = LAST_USER,
     .eos = "</s>",
     .role = {[TXT_SYSTEM] = TURN("", "\n\n"), [TXT_USER] = TURN("[INST]", "[/INST]"), [TXT_ASSISTANT] = TURN("", "</s>")},
     .open = ""},
    {.name = "llama2",
     .has = {"[INST]", "<<SYS>>"},
     .eos = "</s>",
     .role = {[TXT_SYSTEM] = TURN("<<SYS>>\n", "\n<</SYS>>\n\n"),
              [TXT_USER] = TRIMMED("[INST] ", " [/INST]"),
              [TXT_ASSISTANT] = TRIMMED(" ", " </s>")},
     .system = FIRST_USER,
     .trims_turn = true,
     .between = "<s>",
     .open = ""},
    {.name = "mistral-v0.1",
     .has = {"[INST]", "eos_token + ' '"},
     .system = FIRST_USER,
     .eos = "</s>",
     .role = {[TXT_SYSTEM] = TURN("", "\n\n"),
              [TXT_USER] = {.before = "[INST] ", .after = " [/INST]", .after_media = "\n"},
              [TXT_ASSISTANT] = TURN("", "</s> ")},
     .open = ""},
    {.name = "mistral-v0.2",
     .has = {"[INST]"},
     .system = FIRST_USER,
     .eos = "</s>",
     .role = {[TXT_SYSTEM] = TURN("", "\n\n"),
              [TXT_USER] = {.before = "[INST] ", .after = " [/INST]", .after_media = "\n"},
              [TXT_ASSISTANT] = TURN("", "</s>")},
     .open = ""},
    {.name = "phi3",
     .has = {"<|assistant|>", "<|end|>"},
     .lacks = {"[BEGIN FINAL RESPONSE]"},
     .role = {[TXT_SYSTEM] = TURN("<|system|>\n", "<|end|>\n"),
              [TXT_USER] = TURN("<|user|>\n", "<|end|>\n"),
              [TXT_ASSISTANT] = TURN("<|assistant|>\n", "<|end|>\n")},
     .open = "<|assistant|>\n"},
    {.name = "zephyr", /* also TinyLlama */
     .has = {"<|user|>", "<|assistant|>", "eos_token"},
     .eos = "</s>",
     .role = {[TXT_SYSTEM] = TURN("<|system|>\n", "</s>\n"),
              [TXT_USER] = TURN("<|user|>\n", "</s>\n"),
              [TXT_ASSISTANT] = TURN("<|assistant|>\n", "</s>\n")},
     .open = "<|assistant|>\n"},
    {.name = "stablelm-zephyr",
     .has = {"<|user|>", "<|assistant|>", "eos_token"},
     .eos = "<|endoftext|>",
     .role = {[TXT_SYSTEM] = TURN("<|system|>\n", "<|endoftext|>\n"),
              [TXT_USER] = TURN("<|user|>\n", "<|endoftext|>\n"),
              [TXT_ASSISTANT] = TURN("<|assistant|>\n", "<|endoftext|>\n")},
     .open = "<|assistant|>\n"},
    {.name = "monarch",
     .has = {"bos_token + message['role']"},
     .eos = "</s>",
     .role = {[TXT_SYSTEM] = TURN("system\n", "</s>\n<s>"),
              [TXT_USER] = TURN("user\n", "</s>\n"),
              [TXT_ASSISTANT] = TURN("<s>assistant\n", "</s>\n")},
     .between = "<s>",
     .open = "<s>assistant\n"},
    {.name = "gemma", /* Gemma 1 to 3; the first two refuse system messages, Gemma 3 does as here */
     .has = {"<start_of_turn>"},
     .role = {[TXT_SYSTEM] = TURN("", "\n\n"),
              [TXT_USER] = TRIMMED("<start_of_turn>user\n", "<end_of_turn>\n"),
              [TXT_ASSISTANT] = TRIMMED("<start_of_turn>model\n", "<end_of_turn>\n")},
     .system = FIRST_USER,
     .open = "<start_of_turn>model\n"},
    {.name = "openchat",
     .has = {"GPT4 Correct "},
     .role = {[TXT_SYSTEM] = TURN("GPT4 Correct System: ", "<|end_of_turn|>"),
              [TXT_USER] = TURN("GPT4 Correct User: ", "<|end_of_turn|>"),
              [TXT_ASSISTANT] = TURN("GPT4 Correct Assistant: ", "<|end_of_turn|>")},
     .open = "GPT4 Correct Assistant:"},
    {.name = "llava", /* LLaVA 1.5 as Hugging Face has it */
     .has = {"message['role'].upper() + ': '", "'ASSISTANT:'"},
     .role = {[TXT_SYSTEM] = TURN("", " "),
              [TXT_USER] = {.before = "USER: ", .after = " ", .after_media = "\n"},
              [TXT_ASSISTANT] = TURN("ASSISTANT: ", " ")},
     .open = "ASSISTANT:",
     .stop = "USER:"},
    {.name = "vicuna-orca",
     .has = {"USER: ", "ASSISTANT: ", "SYSTEM: "},
     .role = {[TXT_SYSTEM] = TURN("SYSTEM: ", "\n"), [TXT_USER] = TURN("USER: ", "\n"), [TXT_ASSISTANT] = TURN("ASSISTANT: ", "</s>\n")},
     .open = "ASSISTANT:",
     .stop = "USER:"},
    {.name = "vicuna-lines",
     .has = {"USER: ", "ASSISTANT: "},
     .role = {[TXT_SYSTEM] = TURN("", "\n\n"), [TXT_USER] = TURN("USER: ", "\n"), [TXT_ASSISTANT] = TURN("ASSISTANT: ", "</s>\n")},
     .open = "ASSISTANT:",
     .stop = "USER:"},
    {.name = "vicuna", /* Vicuna 1.1 and the original LLaVA 1.5 (conv_vicuna_v1): their files have no program */
     .no_system = VICUNA_SYSTEM " ",
     .role = {[TXT_SYSTEM] = TURN("", " "),
              [TXT_USER] = {.before = "USER: ", .after = " ", .after_media = "\n"},
              [TXT_ASSISTANT] = TURN("ASSISTANT: ", "</s>")},
     .open = "ASSISTANT:",
     .stop = "USER:"},
    {.name = "deepseek-coder",
     .has = {"### Instruction:", "<|EOT|>"},
     .no_system =
         "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by Deepseek Company, and you only answer "
         "questions related to computer science. For politically sensitive questions, security and privacy issues, and other "
         "non-computer science questions, you will refuse to answer\n",
     .role = {[TXT_SYSTEM] = TURN("", ""),
              [TXT_USER] = TURN("### Instruction:\n", "\n"),
              [TXT_ASSISTANT] = TURN("### Response:\n", "\n<|EOT|>\n")},
     .open = "### Response:\n"},
    {.name = "command-r",
     .has = {"<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>"},
     .lacks = {"Available Tools", "<|START_RESPONSE|>"},
     .role = {[TXT_SYSTEM] = TURN("<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
              [TXT_USER] = TRIMMED("<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
              [TXT_ASSISTANT] = TRIMMED("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>")},
     .open = "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"},
    {.name = "llama3.1", /* 3.1 to 3.3; the date is what the program has where it is given none */
     .has = {"<|start_header_id|>", "Cutting Knowledge Date: December 2023", "26 Jul 2024"},
     .no_system = LLAMA3_DATES "<|eot_id|>",
     .role =
         {[TXT_SYSTEM] = TRIMMED(LLAMA3_DATES, "<|eot_id|>"), [TXT_USER] = LLAMA3_TURN("user"), [TXT_ASSISTANT] = LLAMA3_TURN("assistant")},
     .open = "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {.name = "llama3",
     .has = {"<|start_header_id|>", "<|end_header_id|>"},
     .role = {[TXT_SYSTEM] = LLAMA3_TURN("system"), [TXT_USER] = LLAMA3_TURN("user"), [TXT_ASSISTANT] = LLAMA3_TURN("assistant")},
     .open = "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {.name = "deepseek2",
     .has = {"'Assistant: ' + message['content'] + eos_token", "'User: '"},
     .role = {[TXT_SYSTEM] = TURN("", "\n\n"), [TXT_USER] = TURN("User: ", "\n\n"), [TXT_ASSISTANT] = TURN("Assistant: ", DEEPSEEK_END)},
     .eos = DEEPSEEK_END,
     .open = "Assistant:"},
    {.name = "deepseek-r1",
     .has = {"<" BAR "Assistant" BAR ">", "<" BAR "User" BAR ">", "<" BAR "Assistant" BAR "><think>\\n"},
     .role = {[TXT_SYSTEM] = TURN("", ""),
              [TXT_USER] = TURN("<" BAR "User" BAR ">", ""),
              [TXT_ASSISTANT] = TURN("<" BAR "Assistant" BAR ">", DEEPSEEK_END)},
     .answers_only = true,
     .open = "<" BAR "Assistant" BAR "><think>\n"},
    {.name = "deepseek3",
     .has = {"<" BAR "Assistant" BAR ">", "<" BAR "User" BAR ">"},
     .lacks = {"</think>"},
     .role = {[TXT_SYSTEM] = TURN("", ""),
              [TXT_USER] = TURN("<" BAR "User" BAR ">", ""),
              [TXT_ASSISTANT] = TURN("<" BAR "Assistant" BAR ">", DEEPSEEK_END)},
     .open = "<" BAR "Assistant" BAR ">"},
    {.name = "granite", /* 3.x; the date that later ones put in front is left out: it would change every day */
     .has = {"<|start_of_role|>", "<|end_of_role|>"},
     .role = {[TXT_SYSTEM] = TURN("<|start_of_role|>system<|end_of_role|>", "<|end_of_text|>\n"),
              [TXT_USER] = TURN("<|start_of_role|>user<|end_of_role|>", "<|end_of_text|>\n"),
              [TXT_ASSISTANT] = TURN("<|start_of_role|>assistant<|end_of_role|>", "<|end_of_text|>\n")},
     .open = "<|start_of_role|>assistant<|end_of_role|>"},
};
enum { N_TEMPLATES = sizeof templates / sizeof templates[0] };

/* ---- rendering ---- */
void txt_parts_free(txt_parts *p)
{
    for (size_t i = 0; i < p->n; i++) sn_free(p->parts[i].text);
    sn_free(p->parts);
    *p = (txt_parts){0};
}

/* Appends text; framing is joined to framing in front of it, so that no control token is cut. */
static sn_status emit(txt_parts *out, const char *text, size_t n, bool framing, sn_err *err)
{
    if (n == 0) return SN_OK;
    txt_part *last = out->n > 0 && framing && out->parts[out->n - 1].framing ? &out->parts[out->n - 1] : NULL;
    size_t len;
    if (!sn_add_ok(n, last ? last->n : 0, &len)) return sn_fail(err, SN_ELIMIT, "a prompt of too many bytes");
    char *joined = sn_alloc(len, 1);
    if (joined == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    if (last) memcpy(joined, last->text, last->n);
    memcpy(joined + len - n, text, n);
    if (last) {
        sn_free(last->text);
        last->text = joined;
        last->n = len;
        return SN_OK;
    }
    sn_status s = sn_grow((void **)&out->parts, &out->cap, out->n + 1, sizeof *out->parts, err);
    if (s != SN_OK) {
        sn_free(joined);
        return s;
    }
    out->parts[out->n++] = (txt_part){.text = joined, .n = len, .framing = framing};
    return SN_OK;
}

static sn_status emit_framing(txt_parts *out, const char *z, sn_err *err)
{
    return z == NULL ? SN_OK : emit(out, z, strlen(z), true, err);
}

/* Bytes of the blank character that p[n] begins with, 0 for others: the characters that Python's str.strip() takes. */
static size_t blank_at(const char *p, size_t n)
{
    static const char *const wide[] = {"\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
                                       "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
    unsigned char c = (unsigned char)p[0];
    if ((c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20)) return 1;
    if (n >= 3 && memcmp(p, "\xe2\x80", 2) == 0 && (unsigned char)p[2] >= 0x80 && (unsigned char)p[2] <= 0x8a) return 3;
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        size_t len = strlen(wide[i]);
        if (n >= len && memcmp(p, wide[i], len) == 0) return len;
    }
    return 0;
}

static sn_str trim_left(sn_str t)
{
    for (size_t k; t.n > 0 && (k = blank_at(t.p, t.n)) > 0; t.n -= k) t.p += k;
    return t;
}

static sn_str trim_right(sn_str t)
{
    for (bool more = t.n > 0; more;) {
        more = false;
        for (size_t k = 1; k <= 3 && k <= t.n && !more; k++)
            if (blank_at(t.p + t.n - k, k) == k) {
                t.n -= k;
                more = t.n > 0;
            }
    }
    return t;
}

/* What stands behind the last </think>: the thoughts of earlier answers are not shown again. */
static sn_str answer_only(sn_str t)
{
    static const char end[] = "</think>";
    const char *p;
    while ((p = t.n > 0 ? memmem(t.p, t.n, end, sizeof end - 1) : NULL) != NULL) {
        p += sizeof end - 1;
        t = (sn_str){p, t.n - (size_t)(p - t.p)};
    }
    return t;
}

static bool begins_with_medium(sn_str text)
{
    return text.n > 0 && text.p[0] == TXT_MEDIA_MARK;
}

/* One turn. `inside`: the system message that goes into it, or NULL. */
static sn_status turn(const txt_chat_template *t, const txt_message *m, const txt_message *inside, txt_parts *out, sn_err *err)
{
    const frame *f = &t->role[m->role], *sys = &t->role[TXT_SYSTEM];
    sn_str text = {m->text, m->n};
    if (t->answers_only && m->role == TXT_ASSISTANT) text = answer_only(text);
    if (f->trims) text = trim_right(inside && t->trims_turn ? text : trim_left(text));
    sn_status s = emit_framing(out, begins_with_medium(text) && f->before_media ? f->before_media : f->before, err);
    if (s == SN_OK && inside) {
        sn_str after = {sys->after, strlen(sys->after)};
        if (t->trims_turn && text.n == 0) after = trim_right(after); /* stripping goes on into what stands in front */
        if (s == SN_OK) s = emit_framing(out, sys->before, err);
        if (s == SN_OK) s = emit(out, inside->text, inside->n, false, err);
        if (s == SN_OK) s = emit(out, after.p, after.n, true, err);
    }
    for (; s == SN_OK && f->after_media && begins_with_medium(text); text = (sn_str){text.p + 1, text.n - 1}) {
        s = emit(out, text.p, 1, false, err);
        if (s == SN_OK) s = emit_framing(out, f->after_media, err);
    }
    if (s == SN_OK) s = emit(out, text.p, text.n, false, err);
    return s == SN_OK ? emit_framing(out, f->after, err) : s;
}

/* The system message for the user's turn i: the first turn gets what stands ahead of it, or the last one gets all. */
static const txt_message *system_inside(const txt_chat_template *t, const txt_message *messages, size_t n, size_t i)
{
    if (t->system == OWN_TURN || messages[i].role != TXT_USER) return NULL;
    if (t->system == FIRST_USER) return i > 0 && messages[i - 1].role == TXT_SYSTEM ? &messages[i - 1] : NULL;
    for (size_t k = i + 1; k < n; k++)
        if (messages[k].role == TXT_USER) return NULL;
    for (size_t k = n; k-- > 0;)
        if (messages[k].role == TXT_SYSTEM) return &messages[k];
    return NULL;
}

/* Where the system message goes into a user's turn, there must be that turn, and one system message for it. */
static sn_status check(const txt_chat_template *t, const txt_message *messages, size_t n, sn_err *err)
{
    size_t n_system = 0;
    for (size_t i = 0; i < n && t->system != OWN_TURN; i++) {
        if (messages[i].role != TXT_SYSTEM) continue;
        if (i + 1 == n || messages[i + 1].role != TXT_USER || (t->system == LAST_USER && n_system++ > 0))
            return sn_fail(err, SN_EUSAGE, "chat template %s takes one system message, with a message of the user behind it", t->name);
    }
    return SN_OK;
}

sn_status txt_chat_render(const txt_chat_template *t, const txt_message *messages, size_t n, bool open_answer, txt_parts *out, sn_err *err)
{
    txt_parts p = {0};
    bool first_user = true;
    sn_status s = check(t, messages, n, err);
    if (s == SN_OK) s = emit_framing(&p, t->begin, err);
    if (s == SN_OK && (n == 0 || messages[0].role != TXT_SYSTEM)) s = emit_framing(&p, t->no_system, err);
    for (size_t i = 0; s == SN_OK && i < n; i++) {
        if (messages[i].role == TXT_SYSTEM && t->system != OWN_TURN) continue;
        if (messages[i].role == TXT_USER && !first_user) s = emit_framing(&p, t->between, err);
        if (messages[i].role == TXT_USER) first_user = false;
        if (s == SN_OK) s = turn(t, &messages[i], system_inside(t, messages, n, i), &p, err);
    }
    if (s == SN_OK && open_answer) s = emit_framing(&p, t->open, err);
    for (size_t i = 0; s == SN_OK && i < p.n; i++) {
        s = emit(out, p.parts[i].text, p.parts[i].n, p.parts[i].framing, err);
    }
    txt_parts_free(&p);
    return s;
}

const char *txt_chat_stop(const txt_chat_template *t)
{
    return t->stop;
}

const char *txt_chat_template_name(const txt_chat_template *t)
{
    return t->name;
}

/* ---- recognising ---- */
static bool contains(sn_str s, const char *z)
{
    return s.n > 0 && memmem(s.p, s.n, z, strlen(z)) != NULL;
}

static const txt_chat_template *by_name(const char *name)
{
    for (size_t i = 0; i < N_TEMPLATES; i++)
        if (strcmp(templates[i].name, name) == 0) return &templates[i];
    return NULL;
}

/* The spelling of the end token that eos_token stands for in a program; {NULL, 0} where the file names none. */
static sn_str eos_of(const sn_gguf *g)
{
    const sn_kv *tokens = sn_gguf_find(g, "tokenizer.ggml.tokens");
    uint32_t id;
    if (tokens == NULL || tokens->type != SN_KV_ARRAY || tokens->elem != SN_KV_STRING) return (sn_str){NULL, 0};
    if (sn_gguf_u32_or(g, "tokenizer.ggml.eos_token_id", 0, UINT32_MAX, UINT32_MAX, &id, NULL) != SN_OK) return (sn_str){NULL, 0};
    return id < tokens->n ? tokens->strings[id] : (sn_str){NULL, 0};
}

static const txt_chat_template *by_program(sn_str program, sn_str eos)
{
    for (size_t i = 0; i < N_TEMPLATES; i++) {
        const txt_chat_template *t = &templates[i];
        bool fits = t->has[0] != NULL;
        fits = fits && (t->eos == NULL || eos.p == NULL || !contains(program, "eos_token") || sn_str_eq(eos, t->eos));
        for (size_t k = 0; k < 4 && t->has[k]; k++) fits = fits && contains(program, t->has[k]);
        for (size_t k = 0; k < 2 && t->lacks[k]; k++) fits = fits && !contains(program, t->lacks[k]);
        if (fits) return t;
    }
    return NULL;
}

/* For files without a program: the control tokens tell most families. */
static const txt_chat_template *by_tokens(const sn_gguf *g, sn_str pre)
{
    static const struct {
        const char *a, *b, *pre, *name; /* tokens that the vocabulary has, and what the pre-tokenizer is called (NULL: anything) */
    } rules[] = {{"<|im_start|>", "<end_of_utterance>", NULL, "smolvlm"},
                 {"<|im_start|>", "<|im_end|>", "smollm", "smollm2"},
                 {"<|im_start|>", "<|im_end|>", "qwen2", "qwen2"},
                 {"<|im_start|>", "<|im_end|>", NULL, "chatml"},
                 {"<|start_header_id|>", "<|eot_id|>", NULL, "llama3"},
                 {"<start_of_turn>", "<end_of_turn>", NULL, "gemma"},
                 {"[INST]", "[SYSTEM_PROMPT]", "tekken", "mistral-v7-tekken"},
                 {"[INST]", "[/INST]", "tekken", "mistral-v3-tekken"},
                 {"[INST]", "[/INST]", NULL, "mistral-v3"},
                 {"<|user|>", "<|end|>", NULL, "phi3"}};
    const sn_kv *tokens = sn_gguf_find(g, "tokenizer.ggml.tokens");
    if (tokens == NULL || tokens->type != SN_KV_ARRAY || tokens->elem != SN_KV_STRING) return NULL;
    for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
        bool a = false, b = false;
        if (rules[r].pre && !sn_str_eq(pre, rules[r].pre)) continue;
        for (size_t i = 0; i < tokens->n && !(a && b); i++) {
            a = a || sn_str_eq(tokens->strings[i], rules[r].a);
            b = b || sn_str_eq(tokens->strings[i], rules[r].b);
        }
        if (a && b) return by_name(rules[r].name);
    }
    return NULL;
}

/* Then the name; what is left of SentencePiece files is taken for a Vicuna. */
static const txt_chat_template *by_file_name(sn_str name, sn_str model)
{
    static const char *const rules[][2] = {
        {"llava", "vicuna"},       {"vicuna", "vicuna"},     {"tinyllama", "zephyr"}, {"zephyr", "zephyr"},  {"mixtral", "mistral-v1"},
        {"mistral", "mistral-v1"}, {"openchat", "openchat"}, {"llama-2", "llama2"},   {"llama 2", "llama2"}, {"llama2", "llama2"}};
    char lower[128] = {0};
    if (!sn_str_eq(model, "llama")) return NULL;
    for (size_t i = 0; i < name.n && i < sizeof lower - 1; i++)
        lower[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 32 : name.p[i]);
    for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++)
        if (strstr(lower, rules[r][0]) != NULL) return by_name(rules[r][1]);
    return by_name("vicuna");
}

static sn_status fail_listing(sn_status code, const char *what, sn_err *err)
{
    char list[768] = {0};
    for (size_t i = 0, at = 0; i < N_TEMPLATES; i++) {
        size_t n = strlen(templates[i].name);
        if (at + n + 3 > sizeof list) break;
        if (at > 0) at += (size_t)(stpcpy(list + at, ", ") - (list + at));
        at += (size_t)(stpcpy(list + at, templates[i].name) - (list + at));
    }
    return sn_fail(err, code, "%s: name one with --chat-template: %s", what, list);
}

sn_status txt_chat_template_get(const txt_chat_template **out, const sn_gguf *g, const char *name, sn_err *err)
{
    char what[300];
    const txt_chat_template *t;
    sn_str program, model, pre, title;
    if (name != NULL) {
        t = by_name(name);
        snprintf(what, sizeof what, "no chat template is called \"%.60s\"", name);
        if (t == NULL) return fail_listing(SN_EUSAGE, what, err);
        *out = t;
        return SN_OK;
    }
    sn_status s = sn_gguf_str_or(g, "tokenizer.chat_template", &program, err);
    if (s == SN_OK) s = sn_gguf_str_or(g, "tokenizer.ggml.model", &model, err);
    if (s == SN_OK) s = sn_gguf_str_or(g, "tokenizer.ggml.pre", &pre, err);
    if (s == SN_OK) s = sn_gguf_str_or(g, "general.name", &title, err);
    if (s != SN_OK) return s;
    t = program.p != NULL ? by_program(program, eos_of(g)) : by_tokens(g, pre);
    for (size_t i = 0; i < N_TEMPLATES && t == NULL && program.p != NULL; i++)
        if (sn_str_eq(program, templates[i].name)) t = &templates[i]; /* some files only name it */
    if (t == NULL && program.p == NULL) t = by_file_name(title, model);
    if (t == NULL) {
        snprintf(what, sizeof what, "%.200s: %s", sn_gguf_path(g),
                 program.p ? "its chat template is not one that is known here" : "it has no chat template");
        return fail_listing(SN_EUNSUPPORTED, what, err);
    }
    *out = t;
    return SN_OK;
}
