"""The page description: what the decoder writes, one token a character or tag. README.md gives the grammar."""

TAGS = ["<pad>", "<bos>", "<eos>", "<none>", "<h1>", "<h2>", "<p>", "<button>", "<a>", "<input>", "<area>", "<select>", "<check>",
        "<radio>", "<img>", "<li>", "<footer>", "<wave>", "<nav>", "</nav>", "<row>", "<col>", "<card>", "</row>",
        "<table>", "<tr>", "<td>", "</table>", "<spare1>", "<spare2>", "<spare3>", "<spare4>"]
TAG = {t: i for i, t in enumerate(TAGS)}
PAD, BOS, EOS, NONE = 0, 1, 2, 3
CHAR0 = len(TAGS)            # 32: the space; printable ASCII follows in order
N_VOCAB = 128                # 32 tags, 95 characters, one to spare
LEAVES = ["<h1>", "<h2>", "<p>", "<button>", "<a>", "<input>", "<area>", "<select>", "<check>", "<radio>", "<img>", "<li>", "<footer>"]


def encode(text):
    return [CHAR0 + ord(c) - 32 for c in text]


def show(ids):
    return "".join(TAGS[i] if i < CHAR0 else chr(i - CHAR0 + 32) for i in ids if i not in (PAD, BOS, EOS))


def elements(ids):
    """[(tag, text)] of the leaves, in reading order; what stands before the first tag is dropped."""
    out = []
    for i in ids:
        if i >= CHAR0:
            if out and out[-1][0] in LEAVES + ["<td>"]:
                out[-1] = (out[-1][0], out[-1][1] + chr(min(126, i - CHAR0 + 32)))
        elif TAGS[i] in LEAVES or TAGS[i] == "<td>":
            out.append((TAGS[i], ""))
        elif TAGS[i] != "<wave>" and out:
            out.append((TAGS[i], ""))
    return [(t, " ".join(s.split())) for t, s in out if t in LEAVES or t == "<td>"]


def allowed(ids):
    """The set of tokens that may follow ids (which starts with <bos>): the grammar, by one walk. Reference for the C program."""
    depth, cells, leaf, text, wave = None, 0, None, 0, False
    for i in ids[1:]:
        t = TAGS[i] if i < CHAR0 else None
        if t is None:
            text += 1
        elif t == "<wave>":
            wave = True
        else:
            text, wave, leaf = 0, False, t if t in LEAVES or t == "<td>" else None
            if t in ("<nav>", "<row>", "<table>"):
                depth = t
            elif t in ("</nav>", "</row>", "</table>"):
                depth = None
        if t in ("<row>", "<table>", "<nav>"):
            cells = 0
        elif t in ("<col>", "<card>", "<tr>"):
            cells = 1
        elif t is not None:
            cells += 1
    last = TAGS[ids[-1]] if ids[-1] < CHAR0 else None
    if last == "<none>":
        return {EOS}
    out, chars = set(), set(range(CHAR0 + 1, CHAR0 + 95))
    if leaf and not wave:
        out |= chars | ({CHAR0} if text and ids[-1] != CHAR0 else set())
    if leaf == "<p>" and not text and not wave:
        out.add(TAG["<wave>"])
    done = leaf is None or text and ids[-1] != CHAR0 or wave or leaf in ("<img>", "<td>", "<input>", "<area>", "<select>", "<button>")
    if not done:
        return out
    if depth == "<nav>":
        return out | {TAG["<a>"]} | ({TAG["</nav>"]} if cells else set())
    if depth == "<table>":
        if last == "<table>":
            return {TAG["<tr>"]}
        return out | {TAG["<td>"]} | ({TAG["<tr>"], TAG["</table>"]} if last != "<tr>" else set())
    if depth == "<row>":
        if last == "<row>":
            return {TAG["<col>"], TAG["<card>"]}
        return out | {TAG[t] for t in LEAVES} | ({TAG["<col>"], TAG["<card>"], TAG["</row>"]} if last not in ("<col>", "<card>") else set())
    out |= {TAG[t] for t in LEAVES} | {TAG["<nav>"], TAG["<row>"], TAG["<table>"]}
    return out | ({EOS} if len(ids) > 1 else {NONE})
