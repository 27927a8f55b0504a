#include "page_written.h"

#include "page.h"

#include <string.h>

#define MAX_BLANK 4 /* bytes in front of the first line: some vocabularies cannot begin without one */

enum { IN_WORD, IN_COLON, IN_TEXT };
enum { WORD_WAVE = FUS_PAGE_N_NAME, WORD_END, WORD_NONE, N_WORD };

/* What a word says, and the first token that it stands for. */
static const char *word_text(unsigned i)
{
    static const char *const others[] = {"wave", "end", "none"};
    return i < FUS_PAGE_N_NAME ? fus_page_names[i].word : others[i - FUS_PAGE_N_NAME];
}

static unsigned word_token(unsigned i)
{
    static const unsigned others[] = {FUS_PAGE_P, FUS_PAGE_EOS, FUS_PAGE_NONE};
    return i < FUS_PAGE_N_NAME ? fus_page_names[i].token : others[i - FUS_PAGE_N_NAME];
}

static char word_end(unsigned i)
{
    return i < FUS_PAGE_N_NAME && fus_page_has_text((senses_page_tag)i) ? ':' : '\n';
}

static void take(fus_written *w, fus_written_step *step, unsigned token)
{
    w->page = fus_page_accept(w->page, token);
    step->tokens[step->n++] = (unsigned char)token;
}

/* The words that the line may begin with. */
static uint32_t first_words(const fus_written *w)
{
    uint32_t words = 0;
    for (unsigned i = 0; i < N_WORD; i++)
        if (fus_page_takes(w->page, word_token(i))) words |= (uint32_t)1 << i;
    return words;
}

static bool accept_word(fus_written *w, unsigned char c, fus_written_step *step)
{
    if (w->n == 0 && w->page.at == FUS_AT_START && (c == ' ' || c == '\n') && w->n_blank < MAX_BLANK) {
        w->n_blank++;
        return true;
    }
    if (w->n == 0) w->words = first_words(w);
    uint32_t words = 0;
    for (unsigned i = 0; i < N_WORD; i++) {
        const char *text = word_text(i);
        if (!(w->words >> i & 1)) continue;
        if (w->n < strlen(text)) { /* else the word is complete, and only what ends it may come */
            words |= (uint32_t)((unsigned char)text[w->n] == c) << i;
            continue;
        }
        if (c != (unsigned char)word_end(i)) continue;
        take(w, step, word_token(i));
        if (i == WORD_WAVE) take(w, step, FUS_PAGE_WAVE);
        if (i == WORD_NONE) take(w, step, FUS_PAGE_EOS);
        w->n = 0;
        w->in = c == ':' ? IN_COLON : IN_WORD;
        return true;
    }
    if (words == 0) return false;
    w->words = words;
    w->n++;
    return true;
}

/* The bytes that follow a first byte of UTF-8; 0 for what is none, 4 for one that stands alone. */
static unsigned followers(unsigned char c)
{
    return c < 0x80 ? 4 : c < 0xC2 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : c < 0xF5 ? 3 : 0;
}

/* The second byte of a character, where overlong forms, surrogates, numbers beyond Unicode and control characters are none (RFC 3629). */
static bool second_is_good(unsigned char first, unsigned char c)
{
    const unsigned char least = first == 0xE0 || first == 0xC2 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const unsigned char most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    return c >= least && c <= most;
}

/* The third byte, where a character would end the line (U+2028, U+2029) or turn the order of what follows (U+202A to U+202E, U+2066 to
 * U+2069): a text is one line, and reads as it is written. */
static bool third_is_good(const uint8_t character[4], unsigned char c)
{
    if (character[0] != 0xE2) return true;
    return !(character[1] == 0x80 && c >= 0xA8 && c <= 0xAE) && !(character[1] == 0x81 && c >= 0xA6 && c <= 0xA9);
}

/* A byte beyond ASCII in a text: its character counts when it is whole. */
static bool accept_utf8(fus_written *w, unsigned char c, fus_written_step *step)
{
    if (w->n_character == 0) {
        if (followers(c) == 0) return false;
        w->want = (uint8_t)(followers(c) + 1);
    } else if (w->n_character == 1 ? !second_is_good(w->character[0], c) : c < 0x80 || c > 0xBF) {
        return false;
    }
    if (w->n_character == 2 && !third_is_good(w->character, c)) return false;
    w->in = IN_TEXT;
    w->character[w->n_character++] = c;
    if (w->n_character < w->want) return true;
    w->page = fus_page_accept(w->page, 'x');
    step->n = w->want;
    memcpy(step->tokens, w->character, step->n);
    w->n_character = 0;
    return true;
}

static bool accept_text(fus_written *w, unsigned char c, fus_written_step *step)
{
    if (w->n_character > 0 || c >= 0x80) return (w->n_character == 0 || c >= 0x80) && accept_utf8(w, c, step);
    if (c == '\n') {
        if (!fus_page_done(w->page)) return false;
        w->in = IN_WORD;
        return true;
    }
    if (w->in == IN_COLON && c == ' ') {
        w->in = IN_TEXT;
        return true;
    }
    if (c < FUS_PAGE_SPACE || !fus_page_takes(w->page, c)) return false;
    w->in = IN_TEXT;
    take(w, step, c);
    return true;
}

bool fus_written_accept(fus_written *w, unsigned char byte, fus_written_step *step)
{
    fus_written next = *w;
    step->n = 0;
    if (w->page.at == FUS_AT_END) return false;
    if (!(w->in == IN_WORD ? accept_word(&next, byte, step) : accept_text(&next, byte, step))) return false;
    *w = next;
    return true;
}

bool fus_written_takes(fus_written w, const char *bytes, size_t n)
{
    fus_written_step step;
    for (size_t i = 0; i < n; i++)
        if (!fus_written_accept(&w, (unsigned char)bytes[i], &step)) return false;
    return true;
}

bool fus_written_may_end(fus_written w)
{
    fus_written_step step;
    if (w.page.at == FUS_AT_END) return true;
    const bool at_line = w.in == IN_WORD && w.n == 0;
    if (!at_line && !fus_written_accept(&w, '\n', &step)) return false;
    return w.page.at == FUS_AT_END || fus_page_takes(w.page, FUS_PAGE_EOS);
}
