"""Mutations of what models are published in beside GGUF: JSON files, safetensors, and chat templates. The same on every run. Each yields
(name, bytes, verdict) as mutate.py does."""
import copy
import json
import math
import struct

NUMBERS = (-1, 0, 1, 7, 0.5, 1 << 31, 1 << 53, 1 << 64, 1e308)
OTHERS = (None, True, "", "seven", "x\x1b[31m\n\u202e", [], {}, [[]], [None] * 3)
WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "I8": 1, "BOOL": 1}
HUGE = (1 << 31, 1 << 53, 1 << 62, (1 << 64) - 1)


# ---- JSON ----

def places(node, path=()):
    """Every place in a document; of long lists and objects the first two and the last."""
    yield path
    items = list(node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ())
    for key, value in items if len(items) <= 24 else items[:2] + items[-1:]:
        yield from places(value, path + (key,))


def at(doc, path):
    for key in path:
        doc = doc[key]
    return doc


def with_value(doc, path, value):
    if not path:
        return value
    doc = copy.deepcopy(doc)
    at(doc, path[:-1])[path[-1]] = value
    return doc


def without(doc, path):
    doc = copy.deepcopy(doc)
    del at(doc, path[:-1])[path[-1]]
    return doc


def values(old):
    for v in NUMBERS + OTHERS:
        if v != old or type(v) is not type(old):
            yield repr(v)[:20], v
    if isinstance(old, int) and not isinstance(old, bool):
        yield "more", old + 1
        yield "less", old - 1
        yield "twice", old * 2
    elif isinstance(old, str):
        yield "long", old + "A" * 70000
        yield "ends", old + "\0end"
    elif isinstance(old, list) and old:
        yield "shorter", old[:-1]
        yield "longer", old + old[-1:]
        yield "turned", old[::-1]
    elif isinstance(old, dict) and old:
        yield "shorter", dict(list(old.items())[:-1])
        yield "a-list", list(old.values())
        yield "names", list(old)
    if isinstance(old, list) and old:
        yield "a-map", {str(i): v for i, v in enumerate(old)}


def dumps(doc):
    return json.dumps(doc, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def cut_text(data):
    body = data.rstrip()
    for i in sorted({0, 1, 2, len(body) - 1} | {len(body) * i // 16 for i in range(1, 16)}):
        yield f"cut{i}", data[:i], "refuse"


def of_json(data):
    doc = json.loads(data)
    yield "again", dumps(doc), "accept"
    for path in places(doc):
        shown = ".".join(str(k)[:20] for k in path) or "all"
        for what, value in values(at(doc, path)):
            yield f"{shown}-{what}", dumps(with_value(doc, path, value)), "any"
        if path:
            yield f"{shown}-dropped", dumps(without(doc, path)), "any"
    for what, text in (("text", b"seven"), ("html", b"<!DOCTYPE html><html></html>"), ("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"),
                       ("zeros", bytes(len(data))), ("deep", b"[" * 100000), ("deep-objects", b'{"a":' * 100000), ("binary", bytes(range(256)) * 4)):
        yield what, text, "refuse"
    body = data.lstrip()
    if body[:1] == b"{" and doc:
        first = dumps(next(iter(doc)))
        yield "twice", b"{" + first + b":null," + body[1:], "any"
    yield "bad-utf8", data.replace(b'"', b'"\xff\xfe', 1), "any"
    yield "behind", data + b"x", "any"
    yield from cut_text(data)


# ---- safetensors ----

def read_safetensors(data):
    n = struct.unpack_from("<Q", data)[0]
    return json.loads(data[8:8 + n]), data[8 + n:]


def write_safetensors(head, body):
    text = dumps(head)
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def shapes(shape):
    yield "scalar", []
    yield "flat", [math.prod(shape)]
    yield "turned", shape[::-1]
    yield "dims9", shape + [1] * (9 - len(shape))
    yield "text", "seven"
    yield "halves", [s + 0.5 for s in shape]
    for i, s in enumerate(shape):
        for v in (0, -1, s + 1, s - 1, None, *HUGE):
            yield f"{i}is{v}", shape[:i] + [v] + shape[i + 1:]


def of_tensor(head, body, name):
    tensor = head[name]
    begin, end = tensor["data_offsets"]

    def changed(**fields):
        return write_safetensors({**head, name: {**tensor, **fields}}, body)

    for kind in (*WIDTHS, "F8_E4M3", "X", "", None, 7):
        if kind != tensor["dtype"]:
            same = WIDTHS.get(kind, 0) == WIDTHS.get(tensor["dtype"])
            yield f"{name}-type{kind}", changed(dtype=kind), "any" if same else "refuse"
    for what, shape in shapes(tensor["shape"]):
        if shape != tensor["shape"]:
            yield f"{name}-shape-{what}", changed(shape=shape), "any" if what in ("turned", "flat", "dims9") else "refuse"
    for what, place in (("none", []), ("one", [begin]), ("three", [begin, end, end]), ("turned", [end, begin]), ("empty", [begin, begin]), ("off", [begin + 1, end + 1]),
                        ("longer", [begin, end + 2]), ("shorter", [begin, end - 2]), ("negative", [-2, end]), ("beyond", [begin, len(body) + 2]), ("text", "seven"),
                        ("halves", [begin + 0.5, end + 0.5]), *((f"huge{h}", [h, h + end - begin]) for h in HUGE)):
        yield f"{name}-at-{what}", changed(data_offsets=place), "refuse"
    for field in ("dtype", "shape", "data_offsets"):
        yield f"{name}-no-{field}", write_safetensors({**head, name: {k: v for k, v in tensor.items() if k != field}}, body), "refuse"
    yield f"{name}-dropped", write_safetensors({k: v for k, v in head.items() if k != name}, body), "refuse"
    yield f"{name}-renamed", write_safetensors({("x" + k if k == name else k): v for k, v in head.items()}, body), "any"
    yield f"{name}-twice", write_safetensors({**head, "again": tensor}, body), "refuse"
    for what, bits in (("nan", b"\xff\x7f"), ("infinity", b"\x80\x7f"), ("ones", b"\xff\xff"), ("zero", b"\0\0")):
        yield f"{name}-{what}", write_safetensors(head, body[:begin] + (bits * (end - begin))[:end - begin] + body[end:]), "any"


def of_safetensors(data):
    head, body = read_safetensors(data)
    names = [k for k in head if k != "__metadata__"]
    n = struct.unpack_from("<Q", data)[0]
    yield "again", write_safetensors(head, body), "accept"
    yield "reversed", write_safetensors({k: head[k] for k in reversed(head)}, body), "accept"
    for v in (0, 1, n - 1, n + 1, n * 2, *HUGE):
        yield f"header{v}", struct.pack("<Q", v) + data[8:], "refuse"
    yield "more-behind", data + b"\0\0", "refuse"
    yield "metadata", write_safetensors({"__metadata__": {"a": 7}, **{k: head[k] for k in names}}, body), "any"
    yield "a-list", struct.pack("<Q", 2) + b"[]" + body, "refuse"
    for name in names:
        yield from of_tensor(head, body, name)
    ends = [8 + n + head[k]["data_offsets"][1] for k in names]
    for i in sorted({0, 1, 7, 8, 9, 8 + n - 1, 8 + n, 8 + n + 1} | {e + d for e in ends for d in (-1, 0, 1)}):
        if i < len(data):
            yield f"cut{i}", data[:i], "refuse"


# ---- what is known only as bytes ----

def of_bytes(data):
    for i in range(min(len(data), 160)):
        for v in (0, 0x7F, 0xFF, data[i] ^ 1):
            if v != data[i]:
                yield f"byte{i}is{v}", data[:i] + bytes([v]) + data[i + 1:], "any"
    for i in sorted({0, 1, 2, 3, len(data) - 1} | {len(data) * i // 24 for i in range(1, 24)}):
        yield f"cut{i}", data[:i], "any" if i > 3 else "refuse"


def of_file(name, data):
    if name.endswith(".json"):
        return of_json(data)
    return of_safetensors(data) if name.endswith(".safetensors") else of_bytes(data)


# ---- chat templates ----

def of_template(text):
    """A Jinja program, its parts dropped, doubled, nested and cut."""
    marks = [i for i in range(len(text)) if text[i:i + 2] in ("{%", "{{", "%}", "}}")]
    for i in marks:
        yield f"cut{i}", text[:i]
        yield f"cut{i + 2}", text[:i + 2]
        yield f"no-mark{i}", text[:i] + text[i + 2:]
        yield f"mark{i}-twice", text[:i] + text[i:i + 2] * 2 + text[i + 2:]
    loop = "{% for m in messages %}"
    for what, more in (("loops", loop * 6 + "{{ m }}" + "{% endfor %}" * 6), ("range", "{% for i in range(1000000000) %}{{ i }}{% endfor %}"),
                       ("grows", "{% set ns = namespace(s='a') %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}"),
                       ("repeats", "{{ 'a' * 1000000000 }}"), ("power", "{{ 9 ** 9 ** 9 }}"), ("deep", "{{ " + "(" * 20000 + "1" + ")" * 20000 + " }}"),
                       ("lists", "{{ " + "[" * 20000 + "]" * 20000 + " }}"), ("blocks", "{% if 1 %}" * 20000 + "{% endif %}" * 20000),
                       ("calls", "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}"), ("includes", "{% include '/etc/passwd' %}"),
                       ("classes", "{{ ''.__class__.__mro__[1].__subclasses__() }}"), ("divides", "{{ 1 // 0 }}{{ 1 % 0 }}{{ 1 / 0 }}"),
                       ("least", "{{ (-9223372036854775807 - 1) // -1 }}"), ("index", "{{ messages[9223372036854775807] }}{{ messages[-99] }}"),
                       ("slice", "{{ messages[::0] }}"), ("raises", "{{ raise_exception('no\x1b[2J\n') }}"), ("tojson", "{{ messages | tojson(indent=1000000000) }}"),
                       ("joins", "{{ range(1000000) | join('" + "x" * 1000 + "') }}"), ("unknown", "{{ messages | nothing }}"), ("zero", "a\0b")):
        yield what, more
        yield what + "-behind", text + more
