#!/usr/bin/env python3
"""Pages that senses_page_html writes, in a real browser: how they look, what their buttons do, what they ask the network for (nothing).
Prints "ok NAME", "SKIP NAME" or "FAIL NAME" with what was seen.
  run.py [PATTERN]      only the cases whose names match;  BUILD=build  REQUIRE=1: no browser is a failure
  SHOTS=DIR             keeps the screenshots there"""
import os
import subprocess
import sys
import tempfile

from driver import Browser, Problem, is_blank

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
STYLES = ("plain", "sketchy", "modern")
PAGES = sorted(name[:-4] for name in os.listdir(os.path.join(HERE, "pages")))
WIDTHS = (360, 768, 1280)

# Texts whose colour is too near to what lies behind them (WCAG 2: 4.5, large ones 3). A gradient counts by its first colour.
CONTRAST = """
const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = (c) => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
const numbers = (colour) => { const n = (colour.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number); return n.length < 4 ? [...n, 1] : n; };
const behind = (e) => {
  const over = [];
  for (; e; e = e.parentElement) {
    const style = getComputedStyle(e), colour = numbers(style.backgroundColor);
    const first = style.backgroundImage.match(/rgba?\\([^)]*\\)/);
    over.push(first && numbers(first[0])[3] === 1 && colour[3] < 1 ? numbers(first[0]) : colour);
  }
  return over.reverse().reduce((under, c) => under.map((v, i) => v * (1 - c[3]) + c[i] * c[3]), [255, 255, 255]);
};
const bad = [];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || !e.checkVisibility() || e.closest('.unseen, script, option, [aria-hidden]')) continue;
  const style = getComputedStyle(e), a = light(numbers(style.color)), b = light(behind(e));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), large = parseFloat(style.fontSize) >= 24;
  if (ratio < (large ? 3 : 4.5)) bad.push(e.textContent.trim().slice(0, 30) + ' ' + ratio.toFixed(2) + ' ' + style.color);
}
return bad;
"""

# What a screen reader could not tell: controls without a name, targets that are not there, a page without its landmarks.
NAMES = """
const bad = [];
for (const e of document.querySelectorAll('input, select, textarea'))
  if (!e.labels.length && !e.getAttribute('aria-label')) bad.push('no label: ' + e.outerHTML);
for (const e of document.querySelectorAll('button, a')) if (!e.textContent.trim()) bad.push('no name: ' + e.outerHTML);
for (const e of document.querySelectorAll('img')) if (!e.alt) bad.push('no alt: ' + e.outerHTML.slice(0, 80));
for (const name of ['aria-controls', 'aria-describedby', 'aria-labelledby', 'for', 'data-for'])
  for (const e of document.querySelectorAll('[' + name + ']'))
    if (!document.getElementById(e.getAttribute(name))) bad.push(name + ': ' + e.getAttribute(name));
const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
if (new Set(ids).size < ids.length) bad.push('an id twice');
if (document.querySelectorAll('main').length !== 1) bad.push('not one main');
if (document.querySelectorAll('h1').length > 1) bad.push('more than one h1');
return bad;
"""


def want(condition, what):
    if not condition:
        raise Problem(what)


def same(have, wanted):
    want(have == wanted, f"is {have!r}, wanted {wanted!r}")


# ---- every page ----

def looks(b, page):
    """Not blank, nothing wider than the window, all words readable in light and dark; nothing on the console or the network."""
    for width in WIDTHS:
        b.width(width)
        png = b.shot()
        keep = os.environ.get("SHOTS")
        if keep:
            with open(os.path.join(keep, f"{page}-{width}.png"), "wb") as f:
                f.write(png)
        want(not is_blank(png), f"is blank at {width} pixels")
        wide = b.js("return document.documentElement.scrollWidth")
        want(wide <= width, f"is {wide} pixels wide in a window of {width}")
    for scheme in ("light", "dark"):
        b.prefer(color_scheme=scheme, reduced_motion="reduce")
        bad = b.js(CONTRAST)
        want(not bad, f"contrast ({scheme}): {bad}")
    b.prefer(color_scheme="light", reduced_motion="reduce")
    bad = b.js(NAMES)
    want(not bad, str(bad))


# ---- what pages do ----

def jokes(b):
    for nth in (0, 1):
        want(not b.visible(".answer", nth), "the punchline is to be seen at once")
        same(b.js("return arguments[0].getAttribute('aria-expanded')", b.find("button", nth)), "false")
        b.press("Show punchline")
        want(b.visible(".answer", nth), "the punchline is not shown")
        same(b.text(".answer", nth), "(the punchline goes here)")
        same(b.js("return arguments[0].getAttribute('aria-expanded')", b.find("button", nth)), "true")
        same(b.text("button", nth), "Hide punchline")
    b.press("Hide punchline")
    want(not b.visible(".answer", 0) and b.visible(".answer", 1), "not the first punchline alone went away")


def jokes_by_keyboard(b):
    b.key("\ue004")
    same(b.js("return document.activeElement.textContent"), "Show punchline")
    outline = b.js("return getComputedStyle(document.activeElement).outlineStyle")
    same(outline, "solid")
    b.key("\ue007")
    want(b.visible(".answer", 0), "Enter does not show the punchline")
    b.key(" ")
    want(not b.visible(".answer", 0), "the space bar does not hide it")


def answers(b):
    want(not b.visible(".answer p", 0), "an answer that is drawn is not hidden")
    b.press("Reveal answer")
    same(b.text(".answer", 0), "A piano.")
    b.press("Reveal answer")
    same(b.text(".answer", 1), "Because it is a towel.")
    b.press("Another joke")


def login(b):
    b.press("Send")
    same(b.js("return document.activeElement.labels[0].textContent"), "Your name")
    same(b.js("return document.querySelectorAll('[aria-invalid=true]').length"), 5)
    same(b.text("#field-5-error"), "Please fill in: Your name.")
    b.type("#field-5", "Ann")
    want(b.text("#field-5-error") == "", "the message stays though the field is filled in")
    b.type("#field-6", "nobody")
    b.type("#field-7", "abc")
    b.type("#field-8", "secret")
    b.type("#field-9", "sacred")
    b.click("#field-13")
    b.press("Send")
    want("ann@example.org" in b.text("#field-6-error"), "a bad address passes")
    want("number" in b.text("#field-7-error"), "a bad telephone number passes")
    same(b.text("#field-9-error"), "This is not the same as above.")
    same(b.text(".done"), "")
    for field, text in (("#field-6", "@example.org"), ("#field-7", ""), ("#field-9", "")):
        if not text:
            b.js("arguments[0].value = ''", b.find(field))
        b.type(field, text or {"#field-7": "030 123456", "#field-9": "secret"}[field])
    b.press("Send")
    want(b.text(".done").startswith("Thank you, Ann!"), f"says '{b.text('.done')}'")
    b.press("Reset")
    same(b.js("return document.querySelector('#field-5').value"), "")
    b.press("Help")
    want(b.visible("section"), "a link to what is not drawn shows nothing")
    same(b.js("return document.activeElement.tagName"), "SECTION")
    b.press("Home")
    same(b.js("return scrollY"), 0)


def cafe(b):
    b.width(360, 300)
    b.press("Snacks")
    top = b.js("return document.getElementById(location.hash.slice(1)).getBoundingClientRect().top")
    same(b.js("return document.querySelector(location.hash).textContent"), "Snacks")
    want(-5 < top < 150, f"the heading jumped to stands at {top}")
    b.press("Hours")
    same(b.text("section h2"), "Hours")
    want(b.visible("section h2"), "the linked part is hidden")
    b.press("Order now")
    same(b.text(".col .done"), "In your cart: 1 (Drinks was added)")
    b.press("Book a table")
    want(b.js("return document.querySelector('dialog').open"), "no form opens")
    b.press("OK")
    same(b.js("return document.activeElement.labels[0].textContent"), "Name")
    b.type("dialog input", "Bo")
    for nth, value in ((1, "2030-01-02"), (2, "18:30"), (3, "2")):
        b.js("arguments[0].value = arguments[1]", b.find("dialog input", nth), value)
    b.press("OK")
    want(not b.js("return document.querySelector('dialog').open"), "the form stays open")
    want(b.text("main > .actions .done").startswith("Thank you, Bo!"), b.text("main > .actions .done"))
    b.width(1280)
    places = b.js("return [...document.querySelectorAll('.col')].map(e => e.getBoundingClientRect().top)")
    want(len(places) == 2 and places[0] == places[1], f"the columns do not stand side by side: {places}")
    b.width(360)
    places = b.js("return [...document.querySelectorAll('.col')].map(e => e.getBoundingClientRect().top)")
    want(places[0] < places[1], "the columns do not stand one below the other on a narrow screen")


def gallery(b):
    same(b.js("return [...document.querySelectorAll('img')].map(e => e.alt)"), ["Milo", "Luna"])
    want(b.js("return [...document.querySelectorAll('img')].every(e => e.naturalWidth > 0)"), "a picture is not shown")
    b.press("Upload")
    b.type("#picker", os.path.join(ROOT, "samples", "sign.png"))
    same(b.text("main > .actions .done"), "Chosen: sign.png")
    b.js("return document.querySelector('img').decode()")
    want(b.js("return document.querySelector('img').src").startswith("blob:"), "the chosen picture is not shown")
    b.press("Like")
    same(b.text("button[aria-pressed=true]"), "Like (1)")
    b.press("Like (1)")
    same(b.text("button[aria-pressed=false]"), "Like")


def todo(b):
    same(b.js("return document.querySelectorAll('li input[type=checkbox]').length"), 2)
    b.click("li label")
    same(b.js("return getComputedStyle(document.querySelector('li label')).textDecorationLine"), "line-through")
    b.type("form input", "Sing")
    b.press("Add")
    same(b.text("li", 2), "Sing")
    same(b.js("return document.querySelectorAll('li').length"), 3)
    b.press("Remove")
    same(b.text(".done", 1), "Removed: 1")
    same(b.js("return [...document.querySelectorAll('li')].map(e => e.textContent)"), ["Water plants", "Sing"])


def shop(b):
    same(b.js("return document.querySelector('h1').textContent"), "Plant shop")
    b.type("form[role=search] input", "cactus")
    want(b.visible("td", 0) and not b.visible("td", 2), "the search does not sift the table")
    want(b.visible("h2", 0) and not b.visible("h2", 1), "the search does not sift the cards")
    same(b.text("form[role=search] .done"), "2 found")
    b.js("arguments[0].value = ''", b.find("form[role=search] input"))
    b.press("Search")
    want(b.visible("td", 2), "an empty search hides something")
    b.press("Add to cart", 1)
    b.press("Add to cart", 0)
    want(b.text(".col .done").startswith("In your cart: 2"), b.text(".col .done"))
    b.press("Read more")
    want(b.visible(".answer"), "more is not shown")
    same(b.text("button[aria-expanded=true]"), "Read less")
    b.press("+")
    b.press("+")
    same(b.text("main > .actions .done"), "Likes: 5")
    b.press("Play")
    b.press("Pause")
    same(b.text("main > .actions .done"), "Play: off")
    b.js("window.print = () => { document.body.dataset.printed = 'yes'; }")
    b.press("Print")
    same(b.js("return document.body.dataset.printed"), "yes")
    for words, tag in (("Prices", "DIV"), ("Contact", "H2")):
        b.press(words)
        same(b.js("return document.querySelector(location.hash).tagName"), tag)


def lone(b):
    b.press("Search")
    same(b.text(".done", 1), "“Search” was pressed.")
    b.press("New")
    same(b.text(".done", 2), "“New” was pressed.")
    b.press("Show answer")
    want(b.visible(".answer"), "the answer is not shown")


def hostile(b):
    same(b.js("return document.title"), "</title><script>alert(1)</script>")
    same(b.js("return document.querySelectorAll('script').length"), 1)
    same(b.js("return [...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length"), 0)
    b.press("javascript:alert(1)")
    want(b.visible("section"), "the link did not lead to its part")


def the_policy_holds(b):
    """What somebody would have to add to the page to reach out is stopped by the browser."""
    stopped = b.js("""
        const stopped = [];
        document.addEventListener('securitypolicyviolation', (event) => stopped.push(event.effectiveDirective));
        new Image().src = 'http://127.0.0.1:9/x.png';
        const script = document.createElement('script');
        script.textContent = 'document.title = "run"';
        document.body.append(script);
        const sheet = document.createElement('style');
        sheet.textContent = 'body { display: none }';
        document.body.append(sheet);
        fetch('http://127.0.0.1:9/').catch(() => 0);
        return new Promise((done) => setTimeout(() => done(stopped), 300));""")
    same(sorted(stopped), ["connect-src", "img-src", "script-src-elem", "style-src-elem"])
    want(b.js("return document.title") != "run" and b.visible("body"), "what was added works")
    b.logs()


CASES = [(jokes, "jokes"), (jokes_by_keyboard, "jokes"), (answers, "answers"), (login, "login"), (cafe, "cafe"), (gallery, "gallery"),
         (todo, "todo"), (shop, "shop"), (lone, "lone"), (hostile, "hostile"), (the_policy_holds, "jokes")]


def write_pages(folder):
    program = os.path.join(ROOT, os.environ.get("BUILD", "build"), "tests", "page_html_main")
    for page in PAGES:
        with open(os.path.join(HERE, "pages", page + ".txt"), "rb") as lines:
            text = lines.read()
        for style in STYLES:
            with open(os.path.join(folder, f"{page}-{style}.html"), "wb") as out:
                subprocess.run([program, style], input=text, stdout=out, check=True)


def attempt(b, name, path, case):
    """One case on a fresh page, and then what the browser logged of it."""
    try:
        b.width(1280)
        b.prefer(color_scheme="light", reduced_motion="reduce")
        b.logs()
        b.go(path)
        case(b)
        said, asked = b.logs()
        want(not said, f"the console says: {said}")
        abroad = [url for url in asked if not url.startswith(("file://" + path, "data:", "blob:"))]
        want(not abroad, f"asked for {abroad}")
    except Problem as problem:
        print(f"FAIL {name}\n    {problem}", flush=True)
        return False
    print("ok " + name, flush=True)
    return True


def main():
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        b = Browser()
    except Problem as problem:
        required = os.environ.get("REQUIRE") == "1"
        print(f"{'FAIL' if required else 'SKIP'} browser\n    {problem}")
        return 1 if required else 0
    good, n_tried = True, 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            write_pages(folder)
            for style in STYLES:
                todo_list = [("looks_" + page, page, lambda b, p=f"{page}-{style}": looks(b, p)) for page in PAGES]
                todo_list += [(case.__name__, page, case) for case, page in CASES]
                for name, page, case in todo_list:
                    name = f"browser_{name}_{style}"
                    if pattern in name:
                        n_tried += 1
                        good = attempt(b, name, os.path.join(folder, f"{page}-{style}.html"), case) and good
    finally:
        b.close()
    if n_tried == 0:
        print(f"FAIL browser\n    no case has '{pattern}' in its name")
        good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
