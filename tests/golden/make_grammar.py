#!/usr/bin/env python3
"""Grammars and JSON schemas with texts that others take or refuse: tests/golden/grammar/gbnf.json and schema.json.

    make_grammar.py gbnf LLAMA_GRAMMAR      asks llama.cpp (llama_grammar.cpp says how that is built)
    make_grammar.py schema                  asks jsonschema 4.26 with rfc3339-validator, about instances of hypothesis-jsonschema 0.23
    make_grammar.py check GRAMMAR_MAIN [N]  N (200) random schemas: samples of our grammar (build/tests/grammar_main) must be valid, and
                                            valid instances in our form must be taken; prints what is not so

Our form: properties in the schema's order, ", " and ": " or without the blank, what is not needed of numbers left out (12, not 1.2e1).
"""
import itertools, json, random, re, subprocess, sys, warnings
from pathlib import Path

OUT = Path(__file__).parent / "grammar"

# ---- GBNF ----

GBNF = [  # (grammar, letters that texts are made of, texts)
    ('root ::= sum\nsum ::= product ("+" product)*\nproduct ::= atom ("*" atom)*\natom ::= [0-9]+ | "(" sum ")"', "1+*()", ["12+3*(4+5)", "((1))", "1+", ""]),
    ("root ::= . . \"x\" .", "ax", ["éüxß", "日本x語", "🔵🟠x✅", "éüxßa", "🔵x✅"]),
    ('root ::= "a"*', "ab", []),
    ('root ::= "a"+', "ab", []),
    ('root ::= "a"?', "ab", []),
    ('root ::= "ab"{2}', "ab", []),
    ('root ::= [ab]{3,}', "abc", []),
    ('root ::= [ab]{0,3}', "abc", []),
    ('root ::= ("x" [0-9]{2} "-"?){2,3}', "x1-", ["x12-x34", "x12x34x56", "x12-x34-x56-x78", "x12"]),
    ('root ::= ( [x]* )*', "xy", []),
    ('root ::= ( "a"? "b"* )* "c"', "abc", []),
    ('root ::= first* second? (second first)*\nfirst ::= [bcd]\nsecond ::= [ae]', "abe", []),
    ('root ::= word ( "," " "? word )*\nword ::= [a-zA-Z_] [a-zA-Z0-9_]*', "a1, ", ["ab, c1,d", "1a", "a,,b"]),
    ('root ::= "(" root ")" | ""', "()", []),
    ('root ::= list\nlist ::= "[" ( item ("," item)* )? "]"\nitem ::= list | "1"', "[],1", []),
    ('root ::= [^a-c]', "abd", ["é", "\n", "\t", "🔵"]),
    ('root ::= [^\\n"\\\\]*', 'a"\n', ["é🔵", "a\\b"]),
    ('root ::= [\\x41-\\x43\\u00e9\\U0001F534-\\U0001F535]+', "ABD", ["é", "🔴🔵", "🔶"]),
    ('root ::= [a\\-z\\]]+', "a-z]b", []),
    ('root ::= [-a]+ [a-]', "-ab", []),
    ('root ::= "\\"" [^"]* "\\"" | \'x\'', '"a', []),
    ('root ::= "a" | | "b"', "ab", []),
    ('root ::= (\n  "a" # one\n  | "b"\n)+ # more\n\n# none\n', "ab", []),
    ('root ::= a\n  "b"\na ::= "a"', "ab", []),
    ('root ::= "a" { 2 , 3 }', "ab", []),
    ('root ::= "a"{,3}', "ab", []),
    ('root ::= ("a" | "b"', "ab", []),
    ('root ::= a-b\na-b ::= "x" c-d\nc-d ::= "y"', "xy", []),
    ('root ::= expression\nexpression ::= term ws (("+"|"-") ws term)*\nterm ::= factor ws (("*"|"/") ws factor)*\n'
     'factor ::= number | variable | "(" expression ")" | call\nnumber ::= [0-9]+\nvariable ::= [a-z_] [a-z0-9_]*\n'
     'call ::= variable ws "(" (expression ("," ws expression)*)? ")"\nws ::= [ \\t\\n\\r]?', "x1+( ,)",
     ["f(x, y+2)", "a*(b+c) - d / e", "f(g(x),h(y, z))", "x + + y", "f(,)", "(a + b", "x +", "1*2-3/4+5*x"]),
    ('rot ::= "a"', "a", []),
    ('root ::= a\nb ::= "b"', "ab", []),
    ('root ::= "a" | root "a"', "a", []),
    ('root ::= b\nb ::= "a" | c "b"\nc ::= "c" | b "d"', "abcd", []),
    ('root ::= b\nb ::= "a" | c "b"\nc ::= "c" | none b "d"\nnone ::= "x" | ""', "abcdx", []),
    ('root ::= "a', "a", []),
    ('root ::= [a', "a", []),
    ('root ::= "\\q"', "q", []),
    ('root := "a"', "a", []),
    ('root ::= *', "a", []),
]


def gbnf(program):
    out = []
    for grammar, letters, texts in GBNF:
        short = ["".join(t) for n in range(5) for t in itertools.product(letters, repeat=n)]
        rng = random.Random(grammar)
        texts = texts + (short if len(short) < 60 else rng.sample(short, 60))
        data = b"%d %d\n%s" % (len(grammar.encode()), len(texts), grammar.encode())
        data += b"".join(b"%d\n%s" % (len(t.encode()), t.encode()) for t in texts)
        said = subprocess.run([program], input=data, stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        out.append({"grammar": grammar, "refused": True} if said == "refused" else
                   {"grammar": grammar, "yes": [t for t, d in zip(texts, said) if d == "1"], "no": [t for t, d in zip(texts, said) if d == "0"]})
    write("gbnf.json", out)


# ---- JSON schemas ----

O, S, I = "object", "string", "integer"


def obj(properties, required=(), **more):
    return {"type": O, "properties": properties, "required": list(required), "additionalProperties": False, **more}


SCHEMAS = [
    {"type": S}, {"type": I}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}, {"type": ["integer", "null"]}, {"type": "array"}, {"type": O},
    {"type": S, "minLength": 1}, {"type": S, "maxLength": 3}, {"type": S, "minLength": 2, "maxLength": 4}, {"type": [S, "null"], "minLength": 1},
    {"type": I, "minimum": 0}, {"type": I, "minimum": 2}, {"type": I, "minimum": -123}, {"type": I, "maximum": 9999}, {"type": I, "maximum": -9999},
    {"type": I, "minimum": 5, "maximum": 30}, {"type": I, "minimum": 98, "maximum": 1203}, {"type": I, "minimum": -123, "maximum": 42},
    {"type": I, "exclusiveMinimum": 0, "maximum": 900719925474091}, {"type": I, "exclusiveMinimum": -10, "exclusiveMaximum": 10},
    {"type": I, "minimum": 0.5, "exclusiveMaximum": 99.5}, {"type": I, "minimum": 7, "maximum": 7}, {"type": I, "minimum": -1000000, "maximum": -999},
    {"type": "number", "minimum": 0}, {"type": "number", "exclusiveMinimum": 0}, {"type": "number", "minimum": 0, "maximum": 1},
    {"type": "number", "minimum": -90, "exclusiveMaximum": 90}, {"type": "number", "maximum": -5}, {"minimum": 3, "type": ["number", S]},
    {"enum": ["red", "green", None, 42, ["x"], {"a": 1}, "q\"\\"]}, {"type": S, "enum": ["a", 1, "b"]}, {"type": I, "enum": [1, 2.5, "3", 4.0]},
    {"const": {"a": [1, "é"]}}, {"const": "yes"}, {"const": False}, {"type": "array", "items": {"type": I, "minimum": 0, "maximum": 9}},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3}, {"type": "array", "items": {"type": "null"}, "maxItems": 2},
    {"type": "array", "items": False}, {"type": "array", "maxItems": 0}, {"type": "array", "prefixItems": [{"type": I}, {"type": "boolean"}], "items": False},
    {"type": "array", "prefixItems": [{"type": I}, {"type": "boolean"}], "items": {"type": "null"}, "minItems": 1, "maxItems": 4},
    {"type": "array", "prefixItems": [{"const": "a"}, {"const": "b"}], "items": False, "minItems": 2}, {"type": "array", "prefixItems": [{"const": 1}]},
    {"type": "array", "prefixItems": [{"const": 1}, False, {"const": 2}]},
    obj({"a": {"type": I}, "b": {"type": "boolean"}}, ["a"]), obj({"b": {"type": S}, "a": {"type": S}, "d": {"type": "null"}, "c": {"type": "null"}}, ["a", "b"]),
    obj({"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}), obj({"x y\"z": {"type": "null"}, "é": {"type": I}}, ["é"]), obj({}),
    obj({"o": obj({"p": {"type": "array", "items": obj({"q": {"type": I}}, ["q"])}}, ["p"])}, ["o"]), obj({"a": True, "b": False}, ["a"]),
    {"type": O, "additionalProperties": {"type": I}}, {"type": O, "properties": {"a": {"type": I}}, "additionalProperties": {"type": "boolean"}},
    {"type": O, "properties": {"ab": {"type": "null"}, "abc": {"type": "null"}, "é": {"type": "null"}}, "required": ["ab"], "additionalProperties": {"type": I}},
    {"anyOf": [{"type": S, "maxLength": 2}, {"type": I}]}, {"anyOf": [{"const": 1}, {"enum": [1, 2]}]}, {"allOf": [{"type": "boolean"}]},
    {"oneOf": [{"type": I}, {"type": S}, {"type": "null"}]}, {"oneOf": [{"const": "a"}, {"enum": ["b", 3]}]},
    {"oneOf": [obj({"kind": {"const": "dog"}, "n": {"type": I}}, ["kind", "n"]), obj({"kind": {"const": "cat"}, "m": {"type": "null"}}, ["kind"])]},
    {"$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}, "maxItems": 2}}, "$ref": "#/$defs/t"},
    {"$defs": {"node": obj({"v": {"type": I}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}}, ["v", "next"])}, "$ref": "#/$defs/node"},
    {"definitions": {"a/b~c%": {"const": 1}}, "type": "array", "items": {"$ref": "#/definitions/a~1b~0c%25"}}, obj({"a": {"type": I}, "b": {"$ref": "#/properties/a"}}, ["b"]),
    obj({"child": {"$ref": "#"}}), {"type": S, "format": "date"}, {"type": S, "format": "time"}, {"type": S, "format": "date-time"}, {"type": S, "format": "uuid"},
    {"type": S, "pattern": "^[a-zA-Z0-9_-]*$"}, {"type": S, "pattern": "^a\\^\\$\\.\\[\\]\\(\\)\\|\\{\\}\\*\\+\\?b$"}, {"type": S, "pattern": "^[0-9]{3}-[0-9]{2,4}$"},
    {"type": S, "pattern": "ab+c"}, {"type": S, "pattern": "^(foo|bar(baz)?)+$|^$"}, {"type": S, "pattern": "^\\d{2}\\.\\w\\s?x$"}, {"type": S, "pattern": "^[^a-y\\d]{1,2}$"},
    {"type": S, "pattern": "^\"\\\\[\"\\\\/\\n]$"}, {"type": S, "pattern": "^.{2}$"}, {"type": S, "pattern": "^a|b$"}, {"type": S, "pattern": "^(?:[ab]?)*?c$"}, {"pattern": "^x"},
    {"type": S, "pattern": "^[\\u00e9-\\u00ff]$"}, {"type": S, "pattern": "^(\\([0-9]{3}\\))?[0-9]{3}$"}, {"title": "anything"}, True,
    {"properties": {"a": {"type": I}}}, {"items": {"type": I}, "minItems": 1}, {"type": [O, "array"], "properties": {"a": {"type": I}}, "additionalProperties": False, "items": {"type": I}},
]

REFUSED = [  # (schema, the keyword that is named)
    ({"type": S, "pattern": "a(?=b)"}, "pattern"), ({"type": S, "pattern": "a\\b"}, "pattern"), ({"type": S, "pattern": "(a)\\1"}, "pattern"), ({"type": S, "pattern": "a**"}, "pattern"),
    ({"type": S, "pattern": "(a"}, "pattern"), ({"type": S, "pattern": "a)"}, "pattern"), ({"type": S, "pattern": "[a"}, "pattern"), ({"type": S, "pattern": "[]"}, "pattern"),
    ({"type": S, "pattern": "a^b"}, "pattern"), ({"type": S, "pattern": "a{2"}, "pattern"), ({"type": S, "pattern": "a{1001}"}, "pattern"), ({"type": S, "pattern": "\\p{L}"}, "pattern"),
    ({"type": S, "pattern": "a", "maxLength": 3}, "pattern"), ({"type": S, "pattern": 1}, "pattern"), ({"type": S, "format": "email"}, "format"), ({"type": S, "format": "date", "minLength": 1}, "format"),
    ({"type": S, "minLength": 3, "maxLength": 2}, "maxLength"), ({"type": S, "minLength": -1}, "minLength"), ({"type": I, "multipleOf": 3}, "multipleOf"), ({"type": I, "minimum": 3, "maximum": 2}, "maximum"),
    ({"type": I, "minimum": 1e300}, "minimum"), ({"type": I, "exclusiveMinimum": True}, "exclusiveMinimum"), ({"type": "number", "minimum": 0.5}, "minimum"), ({"type": "number", "maximum": 1e12}, "maximum"),
    ({"type": "array", "uniqueItems": True}, "uniqueItems"), ({"type": "array", "contains": {"type": I}}, "contains"), ({"type": "array", "items": [{"type": I}]}, "items"),
    ({"type": "array", "items": False, "minItems": 1}, "minItems"), ({"type": "array", "minItems": 2, "maxItems": 1}, "maxItems"), ({"type": "array", "prefixItems": []}, "prefixItems"),
    ({"type": O, "minProperties": 1}, "minProperties"), ({"type": O, "patternProperties": {"a": True}}, "patternProperties"), ({"type": O, "propertyNames": {"maxLength": 3}}, "propertyNames"),
    ({"type": O, "required": ["a"]}, "required"), ({"type": O, "properties": {"a": False}, "required": ["a"]}, "required"), ({"type": O, "dependentRequired": {}}, "dependentRequired"),
    ({"not": {"type": S}}, "not"), ({"if": {"type": S}, "then": True}, "if"), ({"anyOf": []}, "anyOf"), ({"anyOf": [{"type": S}], "minLength": 3}, "minLength"),
    ({"oneOf": [{"type": I}, {"type": "number"}]}, "oneOf"), ({"oneOf": [{"type": S}, {"properties": {"a": True}}]}, "oneOf"), ({"oneOf": [{"type": S, "maxLength": 3}, {"type": S}]}, "oneOf"),
    ({"allOf": [{"type": S}, {"minLength": 1}]}, "allOf"), ({"enum": []}, "enum"), ({"type": I, "enum": ["a"]}, "enum"), ({"const": 12345678901234567890}, "const"), ({"enum": [1], "minimum": 0}, "minimum"),
    ({"$ref": "other.json"}, "$ref"), ({"$ref": "#/$defs/none"}, "$ref"), ({"$ref": "#"}, "$ref"), ({"$defs": {"a": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}, "$ref"),
    ({"$defs": {"a": {"type": S}}, "$ref": "#/$defs/a", "minLength": 2}, "minLength"), ({"type": O, "properties": {"a": {"$id": "x", "type": S}}}, "$id"), ({"type": "text"}, "type"), ({"type": []}, "type"),
    ({"nullable": True}, "nullable"), (False, "false"), ([1], "object"),
]


def validator(schema):
    import jsonschema
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def parse(text):
    """The value, or ValueError; like RFC 8259, without NaN."""
    def never(_):
        raise ValueError
    return json.loads(text, parse_constant=never)


def is_valid(v, text):
    try:
        return v.is_valid(parse(text))
    except (ValueError, RecursionError):
        return False


class Form:
    """A value as our grammar writes it: raises where it cannot."""

    def __init__(self, root, rng):
        self.root, self.rng, self.v = root, rng, validator(root)

    def sub(self, s):
        return validator(s) if isinstance(s, bool) or "$ref" not in json.dumps(s) else self.v.evolve(schema=s)

    def write(self, s, x):
        blank = self.rng.choice(["", " "])
        if isinstance(s, bool) or s is None:
            s = {}
        if "$ref" in s:
            return self.write(pointed(self.root, s["$ref"]), x)
        for key in ("anyOf", "oneOf", "allOf"):
            if key in s:
                return self.write(next(p for p in s[key] if self.sub(p).is_valid(x)), x)
        if "const" in s or "enum" in s:
            return json.dumps(s["const"] if "const" in s else next(e for e in s["enum"] if e == x and isinstance(e, bool) == isinstance(x, bool)),
                              ensure_ascii=False, separators=(",", ":")).replace(".0", "")
        if "type" not in s:  # what the keywords are about is what is meant
            for kind, keys in ((str, ("pattern", "minLength")), (list, ("items", "prefixItems")), (dict, ("properties",))):
                if any(k in s for k in keys) and not isinstance(x, kind):
                    raise ValueError("of another type")
        if isinstance(x, dict):
            named = s.get("properties", {})
            others = [k for k in x if k not in named]
            if others and "properties" in s and not s.get("additionalProperties"):
                raise ValueError("others are not taken")
            if any(ord(c) < 32 or c in '"\\' for k in others for c in k) and named:
                raise ValueError("an escape in a name")
            parts = [(k, named[k]) for k in named if k in x] + [(k, s.get("additionalProperties", True)) for k in others]
            return "{" + ("," + blank).join(json.dumps(k, ensure_ascii=False) + ":" + blank + self.write(p, x[k]) for k, p in parts) + "}"
        if isinstance(x, list):
            front = s.get("prefixItems", [])
            return "[" + ("," + blank).join(self.write(front[i] if i < len(front) else s.get("items", True), e) for i, e in enumerate(x)) + "]"
        if isinstance(x, (int, float)) and not isinstance(x, bool):
            bounded = any(k in s for k in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
            if x == int(x):
                x = int(x)
                if abs(x) >= 10**18 or (bounded and "number" in str(s.get("type")) and abs(x) > 10**9):
                    raise ValueError("too long")
            elif bounded:
                x = round(x, 3)
            text = repr(x)
            if "e-1" in text or "e-2" in text or "e-3" in text or len(text) > 16 or (bounded and "e" in text) or text == "-0.0":
                raise ValueError("too long")
            if not self.sub(s).is_valid(x):
                raise ValueError("rounded out")
            return text
        if isinstance(x, str) and "format" in s:
            if not x.isascii() or x.startswith("0000") or "t" in x or "z" in x or ":60" in x or (len(x.split(".")) == 2 and len(x.split(".")[1].rstrip("Z").split("+")[0].split("-")[0]) > 6):
                raise ValueError("another form")
        if isinstance(x, str) and "pattern" in s:
            plain = x.translate(str.maketrans("", "", "\b\f\n\r\t"))
            # \\d and its like are of ASCII, and a dot is no line's end, in ECMA-262
            if not re.search(s["pattern"], x, re.ASCII) or ("." in s["pattern"] and any(c in "\r\u2028\u2029" for c in x)):
                raise ValueError("of other expressions")
            if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in plain) or x.endswith("\n"):
                raise ValueError("a control character")
        text = json.dumps(x, ensure_ascii=False)
        text.encode()  # no lone surrogate
        return text


def changed(text, rng):
    """A text that is near."""
    at, c = rng.randrange(len(text) + 1), rng.choice('0123456789-.eE"\\,:[]{}abkxyzT \nétrue')
    how = rng.randrange(4)
    return text[:at] + c + text[at:] if how == 0 else text[:at] + text[at + 1:] if how == 1 else text[:at] + c + text[at + 1:] if how == 2 else \
        text[:at] + text[rng.randrange(len(text) + 1):]


def unrolled(s, root, depth):
    """The schema without references: what they name in their place, nothing where that goes too deep."""
    if isinstance(s, list):
        return [unrolled(x, root, depth) for x in s]
    if not isinstance(s, dict):
        return s
    if isinstance(s.get("$ref"), str):
        return unrolled(pointed(root, s["$ref"]), root, depth - 1) if depth > 0 else False
    out = {k: unrolled(v, root, depth) for k, v in s.items() if k not in ("$defs", "definitions")}
    if "prefixItems" in out:  # as draft 7 says it, which hypothesis-jsonschema knows
        out["additionalItems"], out["items"] = out.get("items", True), out.pop("prefixItems")
    return out


def pointed(root, ref):
    for step in ref[1:].split("/")[1:]:
        root = root[step.replace("%25", "%").replace("~1", "/").replace("~0", "~")]
    return root


def instances(schema, n, rng):
    """(texts in our form that are valid, texts that are not)"""
    import hypothesis
    from hypothesis import strategies as st
    from hypothesis_jsonschema import from_schema
    v, form, yes, no = validator(schema), Form(schema, rng), [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = {"uuid": st.uuids().map(str)}

        @hypothesis.settings(max_examples=n, database=None, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck),
                             phases=[hypothesis.Phase.generate])
        @hypothesis.given(from_schema(unrolled(schema, schema, 3), custom_formats=own))
        def good(x):
            try:
                text = form.write(schema, x)
            except (ValueError, StopIteration, RuntimeError):
                return
            if is_valid(v, text) and "\0" not in text and "\\u0000" not in text:
                yes.append(text)
        try:
            good()
        except hypothesis.errors.HypothesisException:
            pass
    yes = list(dict.fromkeys(yes))
    others = ["0", "-1", "1.5", '"a"', '""', "true", "null", "[]", "{}", "[1]", '{"a":1}', "", " ", "01", "-0", '"\\x"', "[1,]", '{"a":1,}']
    near = [changed(t, rng) for t in yes for _ in range(6)]
    no = [t for t in dict.fromkeys(others + near) if not is_valid(v, t) and "\0" not in t]
    return yes, no


def pick(texts, n, rng):
    small = [t for t in texts if len(t) <= 100]
    return sorted(rng.sample(small, min(n, len(small))))


def schemas():
    out = []
    for schema in SCHEMAS:
        rng = random.Random(json.dumps(schema))
        yes, no = instances(schema, 120, rng)
        out.append({"schema": schema, "yes": pick(yes, 10, rng), "no": pick(no, 16, rng)})
        if not yes:
            print("no instances:", schema, file=sys.stderr)
    out += [{"schema": s, "refused": key} for s, key in REFUSED]
    write("schema.json", out)


# ---- random schemas ----

def random_schema(rng, depth):
    kinds = [lambda: {"type": "boolean"}, lambda: {"type": "null"}, lambda: {"const": rng.choice([1, "a", None, [True]])}, lambda: {"enum": rng.sample(["a", "b", 1, 2, None, "é\""], 3)},
             lambda: {"type": S, **rng.choice([{}, {"minLength": rng.randrange(3)}, {"maxLength": rng.randrange(1, 5)}, {"format": rng.choice(["date", "time", "date-time", "uuid"])},
                                               {"pattern": random_pattern(rng, 2)}])},
             lambda: {"type": I, **random_bounds(rng, 10 ** rng.randrange(1, 12))}, lambda: {"type": "number", **random_bounds(rng, 10 ** rng.randrange(1, 6))}]
    deep = [lambda: {"type": "array", "items": random_schema(rng, depth - 1), **rng.choice([{}, {"minItems": 1}, {"maxItems": 3}, {"minItems": 2, "maxItems": 3}])},
            lambda: {"type": "array", "prefixItems": [random_schema(rng, depth - 1) for _ in range(rng.randrange(1, 4))], "items": rng.choice([False, {"type": "null"}]), **rng.choice([{}, {"minItems": 1}])},
            lambda: {"anyOf": [random_schema(rng, depth - 1) for _ in range(2)]}, lambda: {"oneOf": [random_schema(rng, depth - 1) for _ in range(2)]},
            lambda: random_object(rng, depth), lambda: random_object(rng, depth)]
    return rng.choice(deep if depth > 0 and rng.random() < 0.8 else kinds)()


def random_object(rng, depth):
    names = rng.sample(["a", "b", "ab", "abc", "é", "x\"y", "", "name"], rng.randrange(1, 5))
    return {"type": O, "properties": {n: random_schema(rng, depth - 1) for n in names}, "required": [n for n in names if rng.random() < 0.5],
            **rng.choice([{}, {"additionalProperties": False}, {"additionalProperties": random_schema(rng, 0)}])}


def random_bounds(rng, size):
    a, b = sorted((rng.randrange(-size, size), rng.randrange(-size, size)))
    return rng.choice([{}, {"minimum": a}, {"maximum": b}, {"minimum": a, "maximum": b}, {"exclusiveMinimum": a, "maximum": b}, {"exclusiveMinimum": a - 1, "exclusiveMaximum": b + 1}])


def random_pattern(rng, depth):
    def piece(d):
        p = rng.choice(["a", "b", "[a-c]", "[^ab\"]", "\\d", "\\.", ".", "é", "\\\\", "\"", "x"] + (["(" + alternatives(d - 1) + ")"] * 4 if d else []))
        return p + rng.choice(["", "", "", "*", "+", "?", "{2}", "{1,3}", "{2,}"])

    def alternatives(d):
        return "|".join("".join(piece(d) for _ in range(rng.randrange(1, 4))) for _ in range(rng.choice([1, 1, 2])))
    return rng.choice(["^", ""]) + alternatives(depth) + rng.choice(["$", ""])


def check(program, n):
    rng, bad, counts = random.Random(7), 0, {"schemas": 0, "refused": 0, "samples": 0, "taken": 0, "not taken": 0}
    tool = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(**what):
        tool.stdin.write(json.dumps(what) + "\n")
        tool.stdin.flush()
        return json.loads(tool.stdout.readline())
    for i in range(n + len(SCHEMAS)):
        schema = SCHEMAS[i] if i < len(SCHEMAS) else random_schema(rng, 3)
        v = validator(schema)
        yes, no = instances(schema, 40, rng)
        said = ask(schema=json.dumps(schema), texts=yes + no, samples=60)
        counts["schemas"] += 1
        if "error" in said:
            counts["refused"] += 1
            if '"oneOf"' not in said["error"] and "bounds" not in said["error"] and "no value" not in said["error"]:
                bad += 1
                print("refused:", said["error"], json.dumps(schema))
            continue
        for what, wrong in (("a sample that is not valid", [t for t in said["samples"] if not is_valid(v, t)]),
                            ("not taken", [t for t, f in zip(yes, said["fits"]) if not f]),
                            ("taken and not valid", [t for t, f in zip(no, said["fits"][len(yes):]) if f])):
            for t in wrong[:2]:
                print(f"{what}: {t!r} of {json.dumps(schema, ensure_ascii=False)}")
            bad += len(wrong) > 0
        counts["samples"] += len(said["samples"])
        counts["taken"] += len(yes)
        counts["not taken"] += len(no)
    print(counts, "wrong:", bad)
    return bad == 0


def write(name, cases):
    OUT.mkdir(exist_ok=True)
    (OUT / name).write_text("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in cases) + "\n]\n")


if __name__ == "__main__":
    if sys.argv[1] == "gbnf":
        gbnf(sys.argv[2])
    elif sys.argv[1] == "schema":
        schemas()
    else:
        sys.exit(0 if check(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 200) else 1)
