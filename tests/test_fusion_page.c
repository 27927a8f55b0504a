/* The reader of pages: its grammar against tools/train/language.py and its tokens against PyTorch (tests/golden/make_page.py), the
 * written form against the tokens, and what is refused. */
#include "page_lines.h"
#include "testing.h"

#include "../fusion/internal.h"
#include "../fusion/page.h"
#include "../fusion/page_read.h"
#include "../fusion/page_search.h"
#include "../fusion/page_written.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIR "tests/golden/page/"
#define ANY_NUMBER ((size_t)1000)
static const char *const ISAS[] = {"scalar", "avx2", "avx512", "avx512-vnni", "amx"};

/* ---- the grammar ---- */

static void check_allowed(fus_page_state s, const char *hex, size_t line)
{
    bool allowed[FUS_PAGE_N_TOKEN];
    const size_t n = strspn(hex, "0123456789abcdef");

    fus_page_allowed(s, ANY_NUMBER, allowed);
    for (size_t t = 0; t < FUS_PAGE_N_TOKEN; t++) {
        bool want = false;
        if (t / 4 < n) {
            const char c = hex[n - 1 - t / 4];
            want = ((c <= '9' ? c - '0' : c - 'a' + 10) >> t % 4) & 1;
        }
        if (allowed[t] != want) fail_msg("grammar.txt:%zu: token %zu is %s", line, t, want ? "refused" : "allowed");
    }
}

static void the_grammar_equals_the_language_file(void **state)
{
    char line[256], hex[64], took[16];
    fus_page_state s = {0};
    size_t n = 0, n_ended = 0;
    FILE *f = fopen(DIR "grammar.txt", "r");

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        assert_int_equal(sscanf(line, "%15s %63s", took, hex), 2);
        if (!strcmp(took, "walk")) {
            s = (fus_page_state){0};
        } else {
            const unsigned t = (unsigned)atoi(took);
            assert_true(fus_page_takes(s, t));
            s = fus_page_accept(s, t);
            n_ended += t == FUS_PAGE_EOS;
        }
        check_allowed(s, hex, ++n);
    }
    fclose(f);
    assert_true(n > 1000 && n_ended > 2);
}

static bool same_state(fus_page_state a, fus_page_state b)
{
    return a.at == b.at && a.inside == b.inside && a.leaf == b.leaf;
}

/* All states that can be reached. */
static size_t all_states(fus_page_state *states, size_t cap)
{
    size_t n = 1;
    states[0] = (fus_page_state){0};
    for (size_t i = 0; i < n; i++)
        for (unsigned t = 0; t < FUS_PAGE_N_TOKEN; t++) {
            if (!fus_page_takes(states[i], t)) continue;
            const fus_page_state next = fus_page_accept(states[i], t);
            size_t k = 0;
            while (k < n && !same_state(states[k], next)) k++;
            assert_true(k < cap);
            if (k == n) states[n++] = next;
        }
    return n;
}

static void the_cost_of_a_state_is_the_shortest_way_to_the_end(void **state)
{
    static fus_page_state states[400];
    const size_t n = all_states(states, 400);

    (void)state;
    assert_true(n > 60);
    for (size_t i = 0; i < n; i++) {
        size_t least = SIZE_MAX;
        for (unsigned t = 0; t < FUS_PAGE_N_TOKEN; t++)
            if (fus_page_takes(states[i], t)) {
                const size_t cost = 1 + fus_page_cost(fus_page_accept(states[i], t));
                least = cost < least ? cost : least;
            }
        if (states[i].at == FUS_AT_END) least = least == SIZE_MAX ? 0 : 1;
        if (least != fus_page_cost(states[i])) fail_msg("state %zu costs %zu, want %zu", i, fus_page_cost(states[i]), least);
        fus_page_state s = states[i];
        for (size_t left = least; left > 0; left--) {
            const unsigned t = fus_page_shortest(s);
            assert_true(fus_page_takes(s, t));
            s = fus_page_accept(s, t);
        }
        assert_int_equal(s.at, FUS_AT_END);
    }
}

/* A random description of at most `most` tokens. */
static size_t random_tokens(unsigned *tokens, size_t most)
{
    fus_page_state s = {0};
    size_t n = 0;
    while (s.at != FUS_AT_END) {
        bool allowed[FUS_PAGE_N_TOKEN];
        unsigned t;
        fus_page_allowed(s, most - n, allowed);
        const unsigned end = rand() % 2 ? FUS_PAGE_SPACE : FUS_PAGE_N_TOKEN; /* tags as often as characters */
        for (size_t tries = 0; !allowed[t = (unsigned)rand() % end] || (t == FUS_PAGE_NONE && rand() % 8); tries++)
            if (tries == 2000) { /* no tag may come */
                for (t = 0; !allowed[t]; t++) assert_true(t < FUS_PAGE_N_TOKEN - 1);
                break;
            }
        tokens[n++] = t;
        s = fus_page_accept(s, t);
        assert_true(n < most || s.at == FUS_AT_END);
    }
    return n;
}

static void every_length_limit_is_kept(void **state)
{
    unsigned tokens[64];

    (void)state;
    srand(1);
    for (size_t most = 2; most < 64; most++)
        for (int i = 0; i < 20; i++) assert_true(random_tokens(tokens, most) <= most);
}

/* ---- pages and their written form ---- */

static void make_page(senses_page *p, const unsigned *tokens, size_t n)
{
    fus_page_build b = {0};
    for (size_t i = 0; i < n; i++) assert_int_equal(fus_page_put(&b, tokens[i], NULL), SN_OK);
    assert_int_equal(fus_page_finish(&b, p, NULL), SN_OK);
}

static void check_same(const senses_page *a, const senses_page *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        assert_int_equal(a->items[i].tag, b->items[i].tag);
        assert_string_equal(a->items[i].text, b->items[i].text);
        assert_int_equal(a->items[i].wave, b->items[i].wave);
    }
}

/* Reads what was written; false where the automaton refuses a byte. */
static bool read_written(senses_page *p, const char *text, size_t n)
{
    fus_written w = {0};
    fus_page_build b = {0};
    for (size_t i = 0; i < n; i++) {
        fus_written_step step;
        if (!fus_written_accept(&w, (unsigned char)text[i], &step)) {
            fus_page_build_free(&b);
            return false;
        }
        for (size_t k = 0; k < step.n; k++) assert_int_equal(fus_page_put(&b, step.tokens[k], NULL), SN_OK);
    }
    assert_int_equal(w.page.at, FUS_AT_END);
    assert_int_equal(fus_page_finish(&b, p, NULL), SN_OK);
    return true;
}

/* The form that page_written.h reads. */
static int write_down(char *out, size_t cap, const senses_page *p)
{
    int n = 0;
    for (size_t i = 0; i < p->n; i++) {
        const senses_page_item *item = &p->items[i];
        const char *word = item->wave ? "wave" : fus_page_names[item->tag].word;
        const char *colon = !fus_page_has_text(item->tag) || item->wave ? "" : item->text[0] ? ": " : ":";
        n += snprintf(out + n, cap - (size_t)n, "%s%s%s\n", word, colon, item->text);
    }
    return n + snprintf(out + n, cap - (size_t)n, "%s\n", p->n ? "end" : "none");
}

static void what_is_written_is_read_back(void **state)
{
    unsigned tokens[300];

    (void)state;
    srand(2);
    for (int i = 0; i < 300; i++) {
        senses_page p, back;
        char whole[4096];
        make_page(&p, tokens, random_tokens(tokens, 10 + (size_t)i % 290));
        const int n = write_down(whole, sizeof whole, &p);
        if (!read_written(&back, whole, (size_t)n)) fail_msg("refused: %s", whole);
        check_same(&p, &back);
        assert_true(fus_written_takes((fus_written){0}, whole, (size_t)n));
        assert_false(fus_written_takes((fus_written){0}, whole, (size_t)n + 1)); /* nothing behind the end */
        senses_page_free(&p);
        senses_page_free(&back);
    }
}

static void the_written_form_is_held_to_the_grammar(void **state)
{
    static const struct {
        const char *text;
        bool takes, may_end;
    } cases[] = {
        {"", true, false},
        {" title: My shop\nend\n", true, true},
        {"\n\n\n\n\nnone\n", false, false},
        {"none\n", true, true},
        {"none", true, true},
        {"none\ntitle: a", false, false},
        {"title:\n", false, false},
        {"title: a", true, true},
        {"title: a ", true, false}, /* a text does not end with a space, but for those that may be empty */
        {"button: a ", true, true},
        {"title: a  b", false, false},
        {"title:a\nbutton:\nimage:\n", true, true},
        {"title: a\n\n", false, false},
        {"nav\nend nav", false, false},
        {"nav\nlink: a\nend nav\n", true, true},
        {"nav\nlink: a\nend", true, false},
        {"nav\nlink: a\nend\n", false, false},
        {"nav\nbutton", false, false},
        {"row\ntext", false, false},
        {"row\ncol\nend row", false, false},
        {"row\ncol\nwave\ncard\ntext: a\nend row\n", true, true},
        {"row\ncol\nnav", false, false},
        {"table\ntr\ncell:\ncell: b\ntr\ncell: c\nend table\nend\n", true, true},
        {"table\ncell", false, false},
        {"link: a\tb", false, false},
        {"link: caf\xC3\xA9\n", true, true},
        {"link:\xE2\x82\xAC\n", true, true},
        {"link: \xC3\n", false, false},
        {"link: \xC3", true, false},
        {"link: \xC0\x80", false, false},
        {"link: \xC2\x85", false, false}, /* a control character of Latin-1 */
        {"link: \xED\xA0\x80", false, false},
        {"link: \xE2\x80\xA8", false, false}, /* U+2028, 2029: other ends of a line */
        {"link: \xE2\x80\xA9", false, false},
        {"link: \xE2\x80\xAA", false, false}, /* U+202A to 202E, 2066 to 2069: what follows would stand in another order */
        {"link: \xE2\x80\xAE", false, false},
        {"link: \xE2\x81\xA6", false, false},
        {"link: a\xE2\x81\xA9", false, false},
        {"link: \xE2\x80\xA7\n", true, true}, /* their neighbours */
        {"link: \xE2\x80\xAF\n", true, true},
        {"link: \xE2\x81\xA5\n", true, true},
        {"link: \xE2\x81\xAA\n", true, true},
        {"link: \xE3\x80\xAE\n", true, true},
        {"link: \xE2\x82\xAA\n", true, true},
        {"link: \xF4\x90\x80\x80", false, false},
        {"link: \xF0\x9F\x98\x80\n", true, true},
        {"link: a\x7F", false, false},
        {"frobnicate", false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t n = strlen(cases[i].text);
        fus_written w = {0};
        fus_written_step step;
        if (fus_written_takes(w, cases[i].text, n) != cases[i].takes) fail_msg("case %zu: %s", i, cases[i].text);
        if (!cases[i].takes) continue;
        for (size_t k = 0; k < n; k++) assert_true(fus_written_accept(&w, (unsigned char)cases[i].text[k], &step));
        if (fus_written_may_end(w) != cases[i].may_end) fail_msg("case %zu: the end of %s", i, cases[i].text);
    }
}

static void texts_are_one_line_of_data(void **state)
{
    senses_page_item items[] = {{SENSES_PAGE_BUTTON, "a\nend\x1b[2J", false}, {SENSES_PAGE_TEXT, "", true}, {SENSES_PAGE_IMAGE, "", false}};
    const senses_page p = {.items = items, .n = 3};
    const unsigned blanks[] = {FUS_PAGE_BUTTON, ' ', 'a', ' ', ' ', 'b', ' ', FUS_PAGE_H1, ' ', 'c'};
    senses_page made;
    char *text = NULL;

    (void)state;
    assert_int_equal(senses_page_text(&p, &text, NULL), SN_OK);
    assert_string_equal(text, "button: a end [2J\nwave\nimage:\n");
    free(text);
    make_page(&made, blanks, sizeof blanks / sizeof *blanks);
    assert_int_equal(made.n, 2);
    assert_string_equal(made.items[0].text, "a b");
    assert_string_equal(made.items[1].text, "c");
    senses_page_free(&made);
    senses_page_free(&made); /* allowed */
}

static void an_element_of_no_kind_is_refused(void **state)
{
    static const int tags[] = {FUS_PAGE_N_NAME, 1000000, -1};

    (void)state;
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        senses_page_item items[] = {{SENSES_PAGE_BUTTON, "a", false}, {(senses_page_tag)tags[i], "b", false}};
        const senses_page p = {.items = items, .n = 2};
        senses_error err = {0};
        char *text = NULL;
        assert_int_equal(senses_page_text(&p, &text, &err), SN_EUSAGE);
        assert_non_null(strstr(err.msg, "element 1"));
        assert_null(text);
    }
}

static void what_people_count_is_numbered_where_there_are_several(void **state)
{
    char lines[] =
        "title: Offers\nnav\nlink: Home\nlink: About\n/nav\ntext: a\ntext: b\nwave\nrow\ncard\nbutton: Buy\ncard\nbutton:\n/row\n"
        "table\ntr\ncell: 1\ncell: 2\n/table\nitem: x\nitem: y\nbutton: Buy\ncheck: z";
    const senses_page p = page_from_lines(lines);
    char *text = NULL;

    (void)state;
    assert_int_equal(senses_page_text(&p, &text, NULL), SN_OK);
    assert_string_equal(text, "title: Offers\nnav\nlink 1: Home\nlink 2: About\nend nav\ntext: a\ntext: b\nwave\nrow\ncard\nbutton 1: Buy\n"
                              "card\nbutton 2:\nend row\ntable\ntr\ncell: 1\ncell: 2\nend table\nitem 1: x\nitem 2: y\nbutton 3: Buy\n"
                              "check: z\n");
    free(text);
    free(p.items);
}

/* ---- the reader ---- */

typedef struct {
    senses_engine *engine;
    senses_text *text;
    senses_encoder *encoder;
    senses_image *image;
} rig;

/* False where this CPU lacks the instruction set. */
static bool rig_open(rig *r, const char *text, const char *mmproj, const char *isa)
{
    senses_error err = {0};
    *r = (rig){0};
    if (senses_engine_open(&r->engine, &(senses_engine_params){.threads = 2, .isa = isa}, &err) != SN_OK) {
        assert_int_equal(err.code, SN_EUNSUPPORTED);
        return false;
    }
    if (senses_text_open(&r->text, r->engine, text, &err) != SN_OK) fail_msg("%s", err.msg);
    if (senses_encoder_open(&r->encoder, r->engine, mmproj, &err) != SN_OK) fail_msg("%s", err.msg);
    if (senses_image_load(&r->image, DIR "page.png", NULL, &err) != SN_OK) fail_msg("%s", err.msg);
    return true;
}

static void rig_close(rig *r)
{
    senses_image_close(r->image);
    senses_encoder_close(r->encoder);
    senses_text_close(r->text);
    senses_engine_close(r->engine);
}

static senses_reader *reader(const rig *r)
{
    senses_reader *out = NULL;
    senses_error err = {0};
    if (senses_reader_open(&out, r->text, r->encoder, &err) != SN_OK) fail_msg("%s", err.msg);
    return out;
}

/* Well-formed as senses.h says. */
static void check_well_formed(const senses_page *p)
{
    fus_page_state s = {0};
    for (size_t i = 0; i < p->n; i++) {
        const senses_page_item *item = &p->items[i];
        const unsigned t = fus_page_names[item->tag].token;
        if (!fus_page_takes(s, t)) fail_msg("element %zu stands where it may not", i);
        s = fus_page_accept(s, t);
        if (item->wave) s = fus_page_accept(s, FUS_PAGE_WAVE);
        if (item->text[0]) s = fus_page_accept(s, 'x');
        assert_true(fus_page_has_text(item->tag) || !item->text[0]);
    }
    assert_true(p->n == 0 || fus_page_takes(s, FUS_PAGE_EOS));
}

static void greedy_tokens_equal_pytorch(void **state)
{
    size_t shape[4], n_dims;
    float *want = testing_npy(DIR "ids.npy", shape, &n_dims);
    const fus_page_progress none = {0};

    (void)state;
    for (size_t i = 0; i < sizeof ISAS / sizeof *ISAS; i++) {
        rig r;
        senses_error err = {0};
        txt_ids ids = {0};
        bool cut;
        if (!rig_open(&r, DIR "sketch.gguf", DIR "sketch-mmproj.gguf", ISAS[i])) continue;
        senses_reader *page = reader(&r);
        if (fus_reader_tokens(page, r.image, 1, shape[0] + 40, &none, &ids, &cut, &err) != SN_OK) fail_msg("%s", err.msg);
        assert_true(ids.n >= shape[0]);
        for (size_t k = 0; k < shape[0]; k++)
            if (ids.ids[k] != (txt_id)want[k]) fail_msg("%s: token %zu is %d, want %g", ISAS[i], k, ids.ids[k], want[k]);
        txt_ids_free(&ids);
        senses_reader_close(page);
        rig_close(&r);
    }
    free(want);
}

/* The rows of the picture that are not zero. */
static fus_page_view view_of(const rig *r, senses_matrix *rows)
{
    senses_error err = {0};
    size_t n = 0;
    if (senses_encode_image(r->encoder, r->image, SENSES_FIT_DEFAULT, rows, &err) != SN_OK) fail_msg("%s", err.msg);
    for (size_t i = 0, k; i < rows->rows; i++) {
        for (k = 0; k < rows->cols && rows->data[i * rows->cols + k] == 0; k++) {}
        if (k < rows->cols) memmove(rows->data + n++ * rows->cols, rows->data + i * rows->cols, rows->cols * sizeof *rows->data);
    }
    assert_true(n > 0);
    return (fus_page_view){rows->data, n};
}

/* The logarithm of the probability of ids behind the view, token by token. */
static double log_p_of(const rig *r, const fus_page_view *v, const txt_ids *ids)
{
    txt_session *kv = NULL;
    senses_error err = {0};
    txt_id last = FUS_PAGE_BOS;
    double log_p = 0;
    assert_int_equal(txt_session_open(&kv, r->text->model, v->n + ids->n, &err), SN_OK);
    assert_int_equal(txt_session_eval_embd(kv, v->rows, v->n, NULL, false, &err), SN_OK);
    for (size_t i = 0; i < ids->n; i++) {
        float logits[FUS_PAGE_N_TOKEN];
        double sum = 0;
        assert_int_equal(txt_session_eval_ids(kv, &last, 1, logits, false, &err), SN_OK);
        last = ids->ids[i];
        for (size_t t = 0; t < FUS_PAGE_N_TOKEN; t++) sum += exp((double)logits[t] - (double)logits[last]);
        log_p -= log(sum);
    }
    txt_session_close(kv);
    return log_p;
}

#define ROUNDING 2e-2 /* of keys in half precision, computed in blocks of other sizes; another seat's keys would be off by whole numbers */

/* At every limit: each width finds a description of the probability it says. Over them all the wider finds the more probable one (at a
 * single limit it need not), and two views that are one find what one finds. */
static void a_wider_search_finds_what_is_more_probable(void **state)
{
    const fus_page_progress none = {0};
    senses_matrix rows = {0};
    senses_error err = {0};
    double sums[FUS_PAGE_WIDTH + 1] = {0};
    rig r;

    (void)state;
    assert_true(rig_open(&r, DIR "sketch.gguf", DIR "sketch-mmproj.gguf", NULL));
    const fus_page_view v = view_of(&r, &rows), twice[FUS_PAGE_VIEWS] = {v, v};
    for (size_t most = 4; most < 60; most += 5) {
        for (size_t width = 1; width <= FUS_PAGE_WIDTH; width++) {
            txt_ids one = {0}, two = {0};
            double p_one, p_two;
            bool cut;
            assert_int_equal(fus_page_search(r.text->model, &v, 1, width, most, &none, &one, &p_one, &cut, &err), SN_OK);
            assert_int_equal(fus_page_search(r.text->model, twice, 2, width, most, &none, &two, &p_two, &cut, &err), SN_OK);
            if (!(fabs(p_one - log_p_of(&r, &v, &one)) < ROUNDING))
                fail_msg("most %zu, width %zu: %g, want %g", most, width, p_one, log_p_of(&r, &v, &one));
            assert_true(fabs(p_one - p_two) < ROUNDING);
            assert_int_equal(one.n, two.n);
            assert_memory_equal(one.ids, two.ids, one.n * sizeof *one.ids);
            sums[width] += p_one;
            txt_ids_free(&one);
            txt_ids_free(&two);
        }
    }
    for (size_t width = 2; width <= FUS_PAGE_WIDTH; width++) assert_true(sums[width] > sums[1]);
    senses_matrix_free(&rows);
    rig_close(&r);
}

static bool count_to(void *user, size_t n)
{
    return n < *(const size_t *)user;
}

static void a_page_is_well_formed_at_every_limit(void **state)
{
    rig r;
    senses_page p = {0};
    senses_error err = {0};
    size_t three = 3;

    (void)state;
    assert_true(rig_open(&r, DIR "sketch.gguf", DIR "sketch-mmproj.gguf", NULL));
    senses_reader *page = reader(&r);
    for (size_t most = 1; most < 70; most++) { /* the model's own way is longer */
        txt_ids ids = {0};
        fus_page_state s = {0};
        bool cut = false;
        assert_int_equal(fus_reader_tokens(page, r.image, FUS_PAGE_WIDTH, most, &(fus_page_progress){0}, &ids, &cut, &err), SN_OK);
        assert_true(cut);
        assert_true(ids.n <= (most < 2 ? 2 : most));
        for (size_t i = 0; i < ids.n; i++) {
            assert_true(fus_page_takes(s, (unsigned)ids.ids[i]));
            s = fus_page_accept(s, (unsigned)ids.ids[i]);
        }
        assert_int_equal(s.at, FUS_AT_END);
        txt_ids_free(&ids);
    }
    assert_int_equal(senses_reader_read(page, r.image, NULL, NULL, &p, &err), SN_OK);
    check_well_formed(&p);
    assert_true(p.n > 3);
    assert_int_equal(p.items[0].tag, SENSES_PAGE_BUTTON); /* as ids.npy begins */
    senses_page_free(&p);
    assert_int_equal(senses_reader_read(page, r.image, count_to, &three, &p, &err), SN_ECANCELLED);
    assert_null(p.items);
    senses_reader_close(page);
    rig_close(&r);
}

/* Whoever reads half a page is told so. */
static void a_page_that_is_cut_says_so(void **state)
{
    static const struct {
        const char *text, *mmproj;
    } pairs[] = {{DIR "sketch.gguf", DIR "sketch-mmproj.gguf"},
                 {"tests/golden/fusion/smolvlm_text.gguf", "tests/golden/fusion/smolvlm_mmproj.gguf"}};

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        rig r;
        senses_page p = {0};
        senses_error err = {0};
        assert_true(rig_open(&r, pairs[i].text, pairs[i].mmproj, NULL));
        senses_reader *page = reader(&r);
        if (fus_reader_page(page, r.image, 20, &(fus_page_progress){0}, &p, &err) != SN_OK) fail_msg("%s", err.msg);
        check_well_formed(&p);
        if (!p.cut) fail_msg("pair %zu: 20 tokens are the whole page", i);
        senses_page_free(&p);
        assert_false(p.cut);
        senses_reader_close(page);
        rig_close(&r);
    }
}

/* The encoder with another threshold. */
static const char *with_keep(float keep)
{
    const char *out = testing_temp("", 0);
    sn_gguf *g;
    sn_gguf_writer *w;

    assert_int_equal(sn_gguf_open(&g, DIR "sketch-mmproj.gguf", NULL), SN_OK);
    assert_int_equal(sn_gguf_create(&w, out, NULL), SN_OK);
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++)
        if (!sn_str_eq(sn_gguf_kv_at(g, i)->key, "clip.vision.page.keep")) sn_gguf_set_kv(w, sn_gguf_kv_at(g, i));
    sn_gguf_set_f32(w, "clip.vision.page.keep", keep);
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        sn_gguf_add_tensor(w, t->name, t->type, t->shape, t->n_dims);
    }
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        sn_gguf_write_data(w, t->data, t->n_bytes);
    }
    assert_int_equal(sn_gguf_finish(w, NULL), SN_OK);
    sn_gguf_close(g);
    return out;
}

static void where_nothing_is_kept_there_is_no_page(void **state)
{
    rig r;
    senses_page p = {.n = 7};
    senses_error err = {0};

    (void)state;
    assert_true(rig_open(&r, DIR "sketch.gguf", with_keep(1), NULL));
    senses_reader *page = reader(&r);
    assert_int_equal(senses_reader_read(page, r.image, NULL, NULL, &p, &err), SN_OK);
    assert_int_equal(p.n, 0);
    assert_false(p.cut);
    senses_page_free(&p);
    senses_reader_close(page);
    rig_close(&r);
}

static void what_is_no_pair_is_refused_naming_both(void **state)
{
    static const struct {
        const char *text, *mmproj, *names[2];
        senses_status code;
    } cases[] = {
        {"tests/golden/fusion/llava15_text.gguf", DIR "sketch-mmproj.gguf", {"llava15_text.gguf", "page/sketch-mmproj.gguf"}, SN_EUSAGE},
        {DIR "sketch.gguf", "tests/golden/fusion/llava15_mmproj.gguf", {"page/sketch.gguf", "llava15_mmproj.gguf"}, SN_EUSAGE},
        {"tests/golden/fusion/smolvlm_text.gguf", "tests/golden/vision/internvl.gguf", {"smolvlm_text.gguf", "internvl.gguf"}, SN_ESHAPE},
        {DIR "sketch.gguf", "tests/golden/audio/front_voxtral.gguf", {"front_voxtral.gguf", "audio"}, SN_EUSAGE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig r;
        senses_reader *page = NULL;
        senses_error err = {0};
        assert_true(rig_open(&r, cases[i].text, cases[i].mmproj, NULL));
        if (senses_reader_open(&page, r.text, r.encoder, &err) != cases[i].code) fail_msg("case %zu: %s", i, err.msg);
        for (int k = 0; k < 2; k++)
            if (!strstr(err.msg, cases[i].names[k])) fail_msg("case %zu: %s", i, err.msg);
        rig_close(&r);
    }
    senses_reader_close(NULL);
}

static void any_other_pair_is_held_to_the_grammar(void **state)
{
    rig r;
    senses_page p = {0};
    senses_error err = {0};

    (void)state;
    assert_true(rig_open(&r, "tests/golden/fusion/smolvlm_text.gguf", "tests/golden/fusion/smolvlm_mmproj.gguf", NULL));
    senses_reader *page = reader(&r);
    if (senses_reader_read(page, r.image, NULL, NULL, &p, &err) != SN_OK) fail_msg("%s", err.msg);
    check_well_formed(&p);
    senses_page_free(&p);
    senses_reader_close(page);
    rig_close(&r);
}

/* A model that wants nothing but one text: what of it stands where it may is written. */
static void the_best_acceptable_token_is_chosen(void **state)
{
    rig r;
    senses_page p = {0};
    static const char *const wish[] = {"<h1>", "title", "nonsense", ": ", "\n", "Hi", " there", "\n", "button", ":", "end", "\n"};

    (void)state;
    assert_true(rig_open(&r, "tests/golden/fusion/smolvlm_text.gguf", "tests/golden/fusion/smolvlm_mmproj.gguf", NULL));
    const size_t n_vocab = senses_text_n_vocab(r.text);
    float *logits = calloc(n_vocab, sizeof *logits);
    fus_page_writer w = {.vocab = txt_model_vocab(r.text->model)};
    const txt_id control = txt_vocab_find(w.vocab, "<|im_start|>", 12), end = txt_vocab_eos(w.vocab);
    assert_true(control > 0 && txt_vocab_is_control(w.vocab, control));
    for (size_t i = 0; i < sizeof wish / sizeof *wish; i++) {
        int32_t *ids = NULL;
        size_t n = 0;
        assert_int_equal(senses_tokenize(r.text, wish[i], strlen(wish[i]), false, &ids, &n, NULL), SN_OK);
        const bool takes = fus_written_takes(w.written, wish[i], strlen(wish[i]));
        if (takes != (i != 0 && i != 2 && i != 4)) fail_msg("%s is %s", wish[i], takes ? "taken" : "refused");
        for (size_t k = 0; k < n && takes; k++) {
            memset(logits, 0, n_vocab * sizeof *logits);
            logits[ids[k]] = 1;
            logits[control] = 9;                                  /* it has no text */
            logits[end] = fus_written_may_end(w.written) ? 0 : 8; /* which it may not here */
            assert_int_equal(fus_page_choose(&w, logits, n_vocab), ids[k]);
        }
        free(ids);
    }
    assert_int_equal(fus_page_close(&w), SN_OK);
    assert_int_equal(fus_page_choose(&w, logits, n_vocab), TXT_NO_ID);
    assert_false(w.ended); /* "end" was the words of a button */
    assert_int_equal(fus_page_finish(&w.page, &p, NULL), SN_OK);
    check_well_formed(&p);
    assert_int_equal(p.n, 2);
    assert_int_equal(p.items[0].tag, SENSES_PAGE_TITLE);
    assert_string_equal(p.items[0].text, "Hi there");
    senses_page_free(&p);
    free(logits);
    rig_close(&r);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_grammar_equals_the_language_file),
    cmocka_unit_test(the_cost_of_a_state_is_the_shortest_way_to_the_end),
    cmocka_unit_test(every_length_limit_is_kept),
    cmocka_unit_test(what_is_written_is_read_back),
    cmocka_unit_test(the_written_form_is_held_to_the_grammar),
    cmocka_unit_test(texts_are_one_line_of_data),
    cmocka_unit_test(an_element_of_no_kind_is_refused),
    cmocka_unit_test(what_people_count_is_numbered_where_there_are_several),
    cmocka_unit_test(greedy_tokens_equal_pytorch),
    cmocka_unit_test(a_page_is_well_formed_at_every_limit),
    cmocka_unit_test(a_page_that_is_cut_says_so),
    cmocka_unit_test(a_wider_search_finds_what_is_more_probable),
    cmocka_unit_test(where_nothing_is_kept_there_is_no_page),
    cmocka_unit_test(what_is_no_pair_is_refused_naming_both),
    cmocka_unit_test(any_other_pair_is_held_to_the_grammar),
    cmocka_unit_test(the_best_acceptable_token_is_chosen),
};
TESTING_MAIN("fusion_page", tests)
