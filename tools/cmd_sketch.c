/* senses sketch: a website from a picture of a drawn one. */
#include "answer.h"
#include "browser.h"
#include "command.h"
#include "output.h"
#include "page.h"
#include "progress.h"
#include "runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *write_html(cli_runtime *rt, const senses_page *page)
{
    const cli_options *o = rt->o;
    senses_error err = {0};
    char *html = NULL;
    senses_page_html_params params = {.style = SENSES_STYLE_PLAIN, .title = o->title};
    if (o->style != NULL && strcmp(o->style, "sketchy") == 0) params.style = SENSES_STYLE_SKETCHY;
    if (o->style != NULL && strcmp(o->style, "modern") == 0) params.style = SENSES_STYLE_MODERN;
    if (senses_page_html(page, &params, &html, &err) != SN_OK) runtime_say(rt, &err);
    return html;
}

/* The HTML of the picture; NULL: said on standard error. *page is filled in either way. malloc'ed. A file that is no picture is
 * refused without waiting for a model. */
static char *make_page(cli_runtime *rt, const char *path, senses_page *page)
{
    size_t n_tokens;
    senses_image *img = runtime_image(rt, path);
    bool good = img != NULL && runtime_eyes(rt, path) && page_read(rt, path, img, page, &n_tokens);
    senses_image_close(img);
    return good ? write_html(rt, page) : NULL;
}

/* ---- where it goes ---- */

/* False: said, and in short in rt->last. */
static bool write_file(cli_runtime *rt, const char *path, const char *html)
{
    cli_outfile out;
    bool good = outfile_open(&out, path);
    if (good) {
        fwrite(html, 1, strlen(html), out.f);
        good = outfile_commit(&out);
    }
    if (!good) snprintf(rt->last.msg, sizeof rt->last.msg, "%s: the page could not be written there", path);
    return good;
}

/* A file of its own for --open without -o. It stays: the browser reads it after this program has ended. malloc'ed; NULL: said, and kept
 * in rt->last. */
static char *temporary_page(cli_runtime *rt)
{
    senses_error err = {.code = SN_EIO};
    const char *folder = getenv("TMPDIR");
    char *inside = text_format("%s/senses-XXXXXX", folder != NULL && folder[0] != '\0' ? folder : "/tmp");
    char *path = NULL;
    if (mkdtemp(inside) != NULL) {
        path = text_format("%s/page.html", inside);
    } else {
        snprintf(err.msg, sizeof err.msg, "%s: no folder for the page can be made there: %s", inside, strerror(errno));
        runtime_say(rt, &err);
    }
    free(inside);
    return path;
}

/* The folder of a temporary page that was not written. */
static void remove_folder(char *page)
{
    *strrchr(page, '/') = '\0';
    rmdir(page);
}

/* *written: the page is where it was asked to be. Returns whether it is also shown, where that was asked for. */
static bool deliver(cli_runtime *rt, const char *html, bool *written)
{
    const cli_options *o = rt->o;
    char *temporary = o->open && o->output == NULL ? temporary_page(rt) : NULL;
    const char *path = temporary != NULL ? temporary : o->output;
    bool good = true;
    if (o->open && path == NULL)
        good = false; /* no temporary file: said */
    else if (path != NULL)
        good = write_file(rt, path, html);
    else if (!o->json)
        good = out_text(html, strlen(html));
    *written = good;
    if (good && temporary != NULL) diag_note(o, "the page is %s", path);
    if (!good && temporary != NULL) remove_folder(temporary);
    good = good && (!o->open || browser_show(path));
    free(temporary);
    return good;
}

/* ---- --json ---- */

/* How an element is called, as in senses_page_text; NULL: a container. */
static const char *element_name(senses_page_tag tag)
{
    static const char *const names[] = {
        [SENSES_PAGE_TITLE] = "title",   [SENSES_PAGE_HEADING] = "heading", [SENSES_PAGE_TEXT] = "text",   [SENSES_PAGE_BUTTON] = "button",
        [SENSES_PAGE_LINK] = "link",     [SENSES_PAGE_INPUT] = "input",     [SENSES_PAGE_AREA] = "area",   [SENSES_PAGE_SELECT] = "select",
        [SENSES_PAGE_CHECK] = "check",   [SENSES_PAGE_RADIO] = "radio",     [SENSES_PAGE_IMAGE] = "image", [SENSES_PAGE_ITEM] = "item",
        [SENSES_PAGE_FOOTER] = "footer", [SENSES_PAGE_CELL] = "cell",
    };
    return (size_t)tag < sizeof names / sizeof names[0] ? names[tag] : NULL;
}

static void print_json(cli_runtime *rt, const char *path, const senses_page *page, const char *html, double seconds)
{
    cJSON *j = answer_json(path, "image", "sketch", runtime_reader_path(rt));
    if (html != NULL) {
        json_add_string(j, "text", html);
        cJSON *elements = json_add_array(j, "elements");
        for (size_t i = 0; i < page->n; i++) {
            const char *name = element_name(page->items[i].tag);
            if (name == NULL) continue;
            cJSON *element = json_object();
            json_add_string(element, "type", name);
            json_add_string(element, "text", page->items[i].text);
            cJSON_AddItemToArray(elements, element);
        }
    } else {
        json_add_string(j, "error", rt->last.msg);
    }
    if (rt->partial) must(cJSON_AddTrueToObject(j, "partial"));
    json_add_decimal(j, "seconds", seconds, 3);
    out_json(j);
}

static int run(const cli_options *o)
{
    cli_runtime rt;
    senses_page page = {.items = NULL};
    double start_s = clock_s();
    if ((o->model == NULL) != (o->n_mmproj == 0))
        return diag_usage("sketch", "sketch: -m and --mmproj are one pair: give both, or neither for the reader that comes with senses");
    if (o->n_lora > 0 && o->model == NULL) return diag_usage("sketch", "sketch: --lora goes onto the text model that -m names");
    if (o->open && o->output != NULL && strcmp(o->output, "-") == 0)
        return diag_usage("sketch", "sketch: --open needs a file to show: -o FILE, or no -o");
    if (o->json && o->output != NULL && strcmp(o->output, "-") == 0)
        return diag_usage("sketch", "sketch: --json writes to standard output, and so does -o -: give one, or -o FILE");
    runtime_init(&rt, o);
    char *html = make_page(&rt, o->operands[0], &page);
    bool written = false, good = html != NULL && deliver(&rt, html, &written);
    if (html != NULL) diag_explain(o, "%s: %zu elements, %.1f s", input_name(o->operands[0]), page.n, clock_s() - start_s);
    if (o->json && (html != NULL || rt.last.msg[0] != '\0'))
        print_json(&rt, o->operands[0], &page, written ? html : NULL, clock_s() - start_s);
    free(html);
    senses_page_free(&page);
    runtime_close(&rt);
    return good ? EXIT_DONE : EXIT_FAILED;
}

const cli_command cmd_sketch = {
    .name = "sketch",
    .operands = "IMAGE",
    .summary = "make a website from a picture of a drawn one",
    .details =
        "Reads a drawing of a web page, on paper, a board or a screen, and writes the page as one HTML file that works: what is hidden is "
        "shown "
        "when its button is pressed, forms check what is filled in, links lead to their parts, in any width of window and by keyboard. The "
        "file "
        "needs nothing from outside and sends nothing: no script or style but its own runs, and no address is asked for.\n"
        "With -m and --mmproj any model that sees pictures is asked instead of the reader that comes with senses. A picture without a page "
        "fails, and nothing is written.",
    .examples = "senses sketch -o page.html drawing.jpg\n"
                "senses sketch --style sketchy --open drawing.jpg\n"
                "senses sketch --json drawing.jpg | jq '.elements'",
    .sets = SET_COMMON | SET_CACHE | SET_JSON | SET_ENGINE | SET_OUTPUT | SET_LORA | SET_PRECISION | SET_SKETCH,
    .min_operands = 1,
    .max_operands = 1,
    .operand_missing = "no image was given",
    .run = run,
};
