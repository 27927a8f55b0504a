#!/usr/bin/env python3
"""What Jinja makes of chat templates, given as transformers gives: tests/golden/text/jinja.json.

    make_text_jinja.py LLAMA_CPP CHAT_JSON [all] > tests/golden/text/jinja.json

LLAMA_CPP is a source tree of llama.cpp (MIT; the sdist of llama-cpp-python 0.3.36 was used): its models/templates. CHAT_JSON is
what make_text_chat.py made, whose conversations and templates are used, too. Made with Jinja2 3.1.6. Without `all`, only the
SHA-256 of the renderings is written, and templates only that are not in CHAT_JSON (which keeps them, too).
"""
import datetime, hashlib, json, re, sys
from pathlib import Path

from jinja2.exceptions import TemplateError
from jinja2.ext import Extension
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

MARK = "<MARK>"
TODAY = datetime.datetime(2026, 7, 30)


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_same"), [], [], body).set_lineno(line)

    def _same(self, caller):
        return caller()


def environment():
    def refuse(message):
        raise TemplateError(message)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"])
    env.filters["tojson"] = lambda x, ensure_ascii=False, indent=None, separators=None, sort_keys=False: json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    env.filters.setdefault("from_json", json.loads)
    env.globals["raise_exception"] = refuse
    env.globals["strftime_now"] = TODAY.strftime
    return env


def listed(text, medium="image"):
    out = []
    for i, piece in enumerate(text.split(MARK)):
        out += [{"type": medium}] if i else []
        out += [{"type": "text", "text": piece}] if piece else []
    return out or [{"type": "text", "text": ""}]


def render(template, messages, opens, lists, medium="image"):
    try:
        return template.render(messages=[{"role": m["role"], "content": listed(m["content"], medium) if lists else m["content"]} for m in messages],
                               tools=None, documents=None, bos_token="<B>", eos_token="<E>", add_generation_prompt=opens)
    except (TemplateError, TypeError, IndexError, KeyError, ValueError, AttributeError):
        return None


# How templates write a medium; where an encoder's family puts the same tokens around its rows, with those.
PLACEHOLDERS = ["<|vision_start|><|image_pad|><|vision_end|>", "<|audio_bos|><|AUDIO|><|audio_eos|>", "<image>", "<|image|>", "<|image_pad|>",
                "<start_of_image>", "<image_soft_token>", "[IMG]", "<im_patch>", "<|media_pad|>", "<image_placeholder>", "<|image_1|>",
                "<|kimi_image_placeholder|>", "<|image_soft_token|>", "]<]image[>[", "<IMG_CONTEXT>", "<|AUDIO|>", "[AUDIO]", "<|audio|>"]
MEDIA = [[("user", MARK + "What is it?")], [("user", "Say what " + MARK + "is.")],
         [("system", "Be brief."), ("user", MARK + "First?"), ("assistant", "A cat."), ("user", "And " + MARK + "this or" + MARK + "?")]]


def render_media(template, messages, opens):
    """With each medium's placeholder as a mark; where the template does not show each once, the marks stand in the text."""
    n = sum(m["content"].count(MARK) for m in messages)
    for medium in ("image", "audio"):
        want = render(template, messages, opens, True, medium)
        if want is not None:
            marked = re.sub("|".join(map(re.escape, PLACEHOLDERS)), MARK, want)
            if marked.count(MARK) == n:
                return marked
    return render(template, messages, opens, False)


def main():
    root, chat, everything = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), sys.argv[3:] == ["all"]
    conversations = [c["messages"] for c in chat[0]["cases"] if c["open"]]
    programs = [("chat.json: " + t["template"], t["jinja"]) for t in chat]
    known = {t["jinja"] for t in chat}
    programs += [(p.name, p.read_text()) for p in sorted((root / "models/templates").glob("*.jinja"))]
    out = []
    for name, jinja in programs:
        if not everything and jinja in known and not name.startswith("chat"):
            continue
        template = environment().from_string(jinja)
        cases = []
        for k, messages in enumerate(conversations):
            for opens in (True, False):
                want = render(template, messages, opens, False)
                lists = want is None or (k == 0 and "Hello" not in want) or (cases and cases[0]["lists"])
                if lists:
                    want = render(template, messages, opens, True)
                want = None if want is None else want.removeprefix("<B>")
                if not everything and want is not None:
                    want = hashlib.sha256(want.encode()).hexdigest()
                cases.append({"conversation": k, "open": opens, "lists": bool(lists), "want": want})
        media = []
        for messages in MEDIA:
            want = render_media(template, [{"role": r, "content": c} for r, c in messages], True)
            media.append(want if want is None or everything else hashlib.sha256(want.removeprefix("<B>").encode()).hexdigest())
        out.append({"template": name, "media": media, "jinja": None if jinja in known and not everything else jinja,
                    "cases": [[c["conversation"], c["open"], c["want"]] for c in cases]})
    print(json.dumps({"conversations": conversations, "media": MEDIA, "templates": out}, ensure_ascii=False))


main()
