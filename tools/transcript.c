#include "transcript.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

static void add(transcript *t, const char *s)
{
    buffer_add(&t->out, s, strlen(s));
}

/* hh:mm:ss and milliseconds behind `point`. */
static void add_time(transcript *t, long long ms, char point)
{
    char s[40];
    snprintf(s, sizeof s, "%02lld:%02lld:%02lld%c%03lld", ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, point, ms % 1000);
    add(t, s);
}

static void add_interval(transcript *t, char point)
{
    add_time(t, t->start_ms, point);
    add(t, " --> ");
    add_time(t, t->end_ms, point);
    add(t, "\n");
}

static void nothing(transcript *t)
{
    (void)t;
}

/* ---- the formats ---- */

static void txt_segment(transcript *t, const char *text, const senses_segment *s)
{
    (void)s;
    add(t, text);
    add(t, "\n");
}

/* An arrow in the text would be read as a time line. */
static void add_without_arrows(transcript *t, const char *text)
{
    for (const char *arrow; (arrow = strstr(text, "-->")) != NULL; text = arrow + 3) {
        buffer_add(&t->out, text, (size_t)(arrow - text));
        add(t, "->");
    }
    add(t, text);
}

static void srt_segment(transcript *t, const char *text, const senses_segment *s)
{
    char number[32];
    (void)s;
    snprintf(number, sizeof number, "%zu\n", t->n_cues);
    add(t, number);
    add_interval(t, ',');
    add_without_arrows(t, text);
    add(t, "\n\n");
}

static void vtt_begin(transcript *t)
{
    add(t, "WEBVTT\n\n");
}

static void vtt_segment(transcript *t, const char *text, const senses_segment *s)
{
    (void)s;
    add_interval(t, '.');
    for (; *text != '\0'; text++) {
        if (*text == '&')
            add(t, "&amp;");
        else if (*text == '<')
            add(t, "&lt;");
        else if (*text == '>')
            add(t, "&gt;");
        else
            buffer_add(&t->out, text, 1);
    }
    add(t, "\n\n");
}

static void csv_begin(transcript *t)
{
    add(t, "start,end,text\n");
}

/* Times in whole milliseconds, as whisper.cpp writes them; quotes in the text are doubled. */
static void csv_segment(transcript *t, const char *text, const senses_segment *s)
{
    char times[64];
    (void)s;
    snprintf(times, sizeof times, "%lld,%lld,\"", t->start_ms, t->end_ms);
    add(t, times);
    for (; *text != '\0'; text++) {
        if (*text == '"') add(t, "\"");
        buffer_add(&t->out, text, 1);
    }
    add(t, "\"\n");
}

static void lrc_segment(transcript *t, const char *text, const senses_segment *s)
{
    char time[40];
    (void)s;
    snprintf(time, sizeof time, "[%02lld:%02lld.%02lld]", t->start_ms / 60000, t->start_ms / 1000 % 60, t->start_ms / 10 % 100);
    add(t, time);
    add(t, text);
    add(t, "\n");
}

static void json_begin(transcript *t)
{
    t->json = json_object();
    json_add_array(t->json, "segments");
    buffer_add(&t->text, "", 0);
}

static void json_segment(transcript *t, const char *text, const senses_segment *s)
{
    cJSON *one = json_object();
    json_add_decimal(one, "start", (double)t->start_ms / 1000, 3);
    json_add_decimal(one, "end", (double)t->end_ms / 1000, 3);
    json_add_string(one, "text", text);
    json_add_decimal(one, "temperature", (double)s->temperature, 2);
    json_add_decimal(one, "avg_logprob", (double)s->avg_log_prob, 4);
    json_add_decimal(one, "compression_ratio", (double)s->compression_ratio, 4);
    json_add_decimal(one, "no_speech_prob", (double)s->no_speech_prob, 4);
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(t->json, "segments"), one);
    if (t->text.n > 0) buffer_add(&t->text, " ", 1);
    buffer_add(&t->text, text, strlen(text));
}

static const transcript_format formats[] = {
    {"txt", nothing, txt_segment},   {"srt", nothing, srt_segment}, {"vtt", vtt_begin, vtt_segment},
    {"csv", csv_begin, csv_segment}, {"lrc", nothing, lrc_segment}, {"json", json_begin, json_segment},
};

const transcript_format *transcript_find(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i].name, name) == 0) return &formats[i];
    return NULL;
}

/* ---- the common part ---- */

/* The text on one line, without control characters and without blanks at its ends. malloc'ed. */
static char *one_line(const char *s)
{
    cli_buffer b = {0};
    size_t n = strlen(s);
    buffer_add(&b, "", 0);
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t code = 0;
        len = utf8_next(s + i, n - i, &code);
        bool blank = len > 0 && (code < 0x20 || (code >= 0x7F && code < 0xA0) || code == ' ' || code == 0x2028 || code == 0x2029);
        if (len == 0) len = 1;
        if (!blank)
            buffer_add(&b, s + i, len);
        else if (b.n > 0 && b.data[b.n - 1] != ' ')
            buffer_add(&b, " ", 1);
    }
    if (b.n > 0 && b.data[b.n - 1] == ' ') b.data[--b.n] = '\0';
    return b.data;
}

static long long to_ms(double s)
{
    return s > 0 && s < 1e9 ? llround(s * 1000) : 0; /* also when s is no number */
}

void transcript_begin(transcript *t, const transcript_format *format)
{
    *t = (transcript){.format = format};
    buffer_add(&t->out, "", 0);
    format->begin(t);
}

void transcript_segment(transcript *t, const senses_segment *s)
{
    char *text = one_line(s->text);
    long long start_ms = to_ms(s->start_s), end_ms = to_ms(s->end_s);
    if (text[0] != '\0') {
        t->start_ms = start_ms > t->end_ms ? start_ms : t->end_ms;
        t->end_ms = end_ms > t->start_ms ? end_ms : t->start_ms + 1;
        t->n_cues++;
        t->format->segment(t, text, s);
    }
    free(text);
}

void transcript_free(transcript *t)
{
    free(t->out.data);
    free(t->text.data);
    cJSON_Delete(t->json);
    *t = (transcript){.format = NULL};
}
