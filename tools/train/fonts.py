#!/usr/bin/env python3
"""Outlines of the fonts the pages are written with, as polylines, cached in one file.

  fonts.py ROOT...      builds the cache from the Debian packages unpacked under ROOT (or / where they are installed)

A hand is a dict: char -> (advance, [points]) in units of the height of its capitals, baseline at y = 0, y downwards;
"closed" tells outlines to fill from strokes to draw."""
import glob, os, pickle, re, sys
import numpy as np

# name pattern -> how often it is drawn, in the hands of a page; families of handwriting and of informal letters
HAND = {"BecauseWe": 1, "ComicNeue-Regular": 3, "ComicNeue-Light": 3, "ComicNeue-Bold": 1, "ComicNeue-Italic": 1, "Chilanka": 4, "Breip": 4,
        "breipfont": 2, "Domestic_Manners": 4, "PenguinAttack": 2, "Dustismo.ttf": 1, "Ecolier-court": 3, "Junkyard": 1,
        "Humor-Sans": 4, "kiloji": 2, "Kristi": 2, "LeckerliOne": 1, "LXGWWenKai-Light": 1, "LXGWWenKai-Regular": 1,
        "NanumBrush": 3, "NanumBarunpenR": 2, "Rufscript": 4, "setofont": 3, "Delphine": 4, "Purisa.ttf": 3, "Purisa-Oblique": 1,
        "Purisa-Bold.ttf": 1, "RadisSans": 1, "Caliban": 2, "TomsonTalks": 3, "UnPen.ttf": 1, "UnPilgia": 2, "YOzRE_.ttf": 2,
        "YOzRE_90.ttf": 1, "YOzRNX.ttf": 2, "YOzRSP.ttf": 2, "YOzRA_.ttf": 1, "YOzRC_i.ttf": 1, "YuseiMagic": 3, "DancingScript-Regular": 2,
        "KaushanScript": 1, "Stick-Regular": 1, "OpenDyslexic-Regular": 1, "Bajaderka": 1, "aescrawl": 1, "jmacscrl": 1, "inkswipe": 1,
        "hyde.ttf": 1, "larkspur": 1, "wigsquig": 1, "Manjari-Regular": 1, "Manjari-Thin": 1, "Jura-Light": 1, "osifont": 2,
        "routed-gothic.ttf": 1, "eurof35": 1, "Comfortaa-Light": 1, "Quicksand-Light": 1, "BetecknaGS.ttf": 1, "Tuffy.ttf": 1, "MTLmr3m": 1,
        # TeX Live's
        "QTHandwriting": 3, "QTCasual": 2, "QTMagicMarker": 2, "QTMerryScript": 2, "QTBrushStroke": 1, "QTArnieB": 1, "QTImpromptu": 1, "QTBoulevard": 1,
        "QTDoghausLight": 2, "QTAbbie": 1, "QTSlogantype": 1, "QTCascadetype": 1, "QTHoboken": 1, "QTLinostroke": 1, "QTParisFrance": 1, "QTPristine.": 1,
        "QTPandora": 1, "QTVagaRound.": 1, "QTGraphLite": 1, "QTLautrecType": 1, "QTDeuce": 1, "QTTheatre": 1, "QTChanceryType": 1, "QTCoronation": 1, "QTSanDiego": 1,
        "QTTumbleweed": 1, "QTFlorencia": 1, "QTJupiter": 1, "QTAntiquePost": 1, "punknova-regular": 2, "punknova-slanted": 1, "miama": 2, "PoiretOne-Regular": 1,
        "augie": 4, "AuriocusKalligraphicus.": 2, "LukasSvatba.": 3, "JanaSkrivana.": 3, "tap.pfb": 3, "callig15": 1, "frca10": 1, "frcr10": 1,
        "Overlock-Italic": 1, "Almendra-Italic": 1, "CormorantGaramond-LightItalic": 1, "JosefinSans-LightItalic": 1}
PRINT = ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "LiberationSans-Regular", "LiberationSans-Bold.ttf",
         "LiberationSerif-Regular", "LiberationSerif-Bold.ttf", "LiberationMono-Regular", "Carlito-Regular", "OpenSans-Regular", "OpenSans-Bold.ttf",
         "OpenSans-CondLight.ttf", "Cantarell-Regular", "Cantarell-Bold", "Lato-Regular", "Lato-Light.ttf", "Roboto-Regular", "Roboto-Medium.ttf",
         "Inter-Regular", "Courier Prime.otf", "EBGaramond12-Regular", "Comfortaa-Regular", "Quicksand-Regular", "Oxygen-Sans.ttf", "Play-Regular", "TlwgTypist.ttf",
         "GNUTypewriter", "FantasqueSansMono-Regular", "LeagueSpartan-Regular", "YanoneKaffeesatz-Regular", "Cabin-Regular", "NanumGothic.ttf",
         "NimbusRoman-Regular", "NimbusSans-Regular", "FreeSerif.ttf", "FreeSans.ttf", "Dosis-Book", "AveriaSansGWF-Regular", "LobsterTwo-Regular", "Play-Bold",
         "Nunito-Regular", "Alegreya-Regular", "Alegreya-Italic", "Merriweather-Regular", "MerriweatherSans-Regular", "JosefinSans-Regular", "Overlock-Regular", "Quattrocento-Regular",
         "QuattrocentoSans-Regular", "IBMPlexMono-Regular", "IBMPlexSans-Regular", "IBMPlexSerif-Italic", "SourceCodePro-Regular", "XCharter-Roman", "PlayfairDisplay-Regular",
         "Montserrat-Regular", "Montserrat-Bold", "Chivo-Regular", "Spectral-Regular", "antpoltltcond-regular", 
         "Rosario-Regular", "GilliusADF-Regular", "IMFeENrm28P", "STEP-Italic", "LibreFranklin-Regular", "LibreBaskerville-Italic",
         "QTEurotype", "QTFuture", "QTLetterGoth.", "QTHelvetCnd", "QTOptimum", "QTBookmann-Italic", "QTSchoolCentury"]
HELD_OUT = ["femkeklaver", "dkg.ttf", "dkgIt", "KleeOne-Regular", "SteveHand", "NanumPen", "NimbusMonoPS-Regular", "Jura-Medium"]
# only letters alike in both cases: small ones are written as capitals
CAPITALS = ["Humor-Sans", "TomsonTalks", "Caliban"]
STROKES = {"futural": 6, "rowmans": 5, "scripts": 1, "cursive": 2, "rowmand": 1, "timesr": 1, "futuram": 1, "timesi": 1, "rowmant": 1}
# parts of words that nobody wants to see on a page
RUDE = ("nigg|fuck|shit|cunt|fagg|whor|slut|rape|rapi|bitch|bastard|kike|spic|wetback|chink|gook|coon|dago|dyke|nazi|porn|penis|vagin|cock|dick|tits|pussy|piss|turd|wank|twat|prick|"
        "masturb|orgas|dildo|boob|semen|sodom|negr|homo|queer|squaw|raci|incest|molest|murder|suicid|erot|genital|anus|clit|scrot|testic|sex|slave|hitler|lynch|retard|hooker")
CHARS = [chr(c) for c in range(32, 127)]


def flatten(ops):
    """Polylines of a glyph's pen commands."""
    out, cur = [], []
    for name, a in ops:
        if name == "moveTo":
            cur = [a[0]]
        elif name == "lineTo":
            cur.append(a[0])
        elif name == "curveTo":
            p = np.array([cur[-1], *a], float)
            for t in (np.arange(1, 6) / 5):
                cur.append(tuple((1 - t) ** 3 * p[0] + 3 * (1 - t) ** 2 * t * p[1] + 3 * (1 - t) * t * t * p[2] + t ** 3 * p[3]))
        elif name == "qCurveTo":
            pts = list(a)
            if pts[-1] is None:                      # a contour without a point on the curve
                pts = pts[:-1]
                start = ((pts[0][0] + pts[-1][0]) / 2, (pts[0][1] + pts[-1][1]) / 2)
                cur, pts = [start], pts + [start]
            while len(pts) > 1:
                c = pts.pop(0)
                e = pts[0] if len(pts) == 1 else ((c[0] + pts[0][0]) / 2, (c[1] + pts[0][1]) / 2)
                s = cur[-1]
                for t in (1 / 3, 2 / 3, 1):
                    cur.append(((1 - t) ** 2 * s[0] + 2 * (1 - t) * t * c[0] + t * t * e[0], (1 - t) ** 2 * s[1] + 2 * (1 - t) * t * c[1] + t * t * e[1]))
        elif cur:
            out.append(np.array(cur, "f4"))
            cur = []
    return [o for o in out if len(o) > 2]


def opened(path):
    """-> character code to glyph name, glyphs"""
    if path.endswith(".pfb"):
        from fontTools.agl import UV2AGL
        from fontTools.t1Lib import T1Font
        gs = T1Font(path).getGlyphSet()
        return {c: UV2AGL[c] for c in range(32, 127) if UV2AGL.get(c) in gs}, gs
    from fontTools.ttLib import TTFont
    f = TTFont(path, fontNumber=0, lazy=True)
    return f.getBestCmap(), f.getGlyphSet()


def outline(path):
    from fontTools.pens.recordingPen import DecomposingRecordingPen
    cmap, gs = opened(path)

    def raw(c):
        g = gs[cmap[ord(c)]]
        pen = DecomposingRecordingPen(gs)
        g.draw(pen)
        return g.width, flatten(pen.value)

    cap = max(p[:, 1].max() for p in raw("H")[1])
    glyphs = {}
    for c in CHARS:
        if ord(c) not in cmap:
            continue
        w, pl = raw(c)
        if c != " " and not pl:
            continue
        glyphs[c] = (w / cap, [p * np.array([1, -1], "f4") / cap for p in pl])
    glyphs.setdefault(" ", (0.4, []))
    if sum(c.isalnum() for c in glyphs) < 62:
        raise ValueError("not all letters and digits")
    return glyphs


def hershey(path):
    """Stroke font, 95 glyphs of the printable characters in order."""
    text = "".join(line.rstrip("\r\n") if len(line) > 8 else line for line in open(path, encoding="latin-1"))
    lines, glyphs, at = text.replace("\n", ""), {}, 0
    for c in CHARS:
        n = int(lines[at + 5:at + 8])
        body = lines[at + 8:at + 8 + 2 * n]
        at += 8 + 2 * n
        lo, hi = ord(body[0]) - 82, ord(body[1]) - 82
        strokes, cur = [], []
        for k in range(1, n):
            pair = body[2 * k:2 * k + 2]
            if pair == " R":
                strokes, cur = strokes + [cur], []
            else:
                cur.append((ord(pair[0]) - 82 - lo, ord(pair[1]) - 82 - 9))
        glyphs[c] = ((hi - lo) / 21, [subdivide(np.array(s, "f4") / 21) for s in strokes + [cur] if s])
    return glyphs


def subdivide(p, step=0.2):
    out = [p[:1]]
    for a, b in zip(p, p[1:]):
        n = max(1, int(np.hypot(*(b - a)) / step + 0.5))
        out.append(a + (b - a) * (np.arange(1, n + 1, dtype="f4") / n)[:, None])
    return np.concatenate(out)


def photos(roots):
    """Pictures that are no pages, grey, at most 640 wide or high, as JPEG: backgrounds, and what the reader must refuse."""
    import cv2
    out = []
    for r in roots:
        for d in ("usr/share/games/pysiogame/res/images/art4apps", "usr/share/backgrounds", "usr/share/wallpapers", "usr/share/lxqt"):
            for f in sorted(glob.glob(os.path.join(r, d, "**/*.*"), recursive=True)):
                im = cv2.imread(f, cv2.IMREAD_GRAYSCALE) if f.lower().endswith((".jpg", ".jpeg", ".png", ".webp")) else None
                if im is None or min(im.shape) < 100:
                    continue
                h, w = im.shape
                for part in [im] + ([im[:h // 2, :w // 2], im[h // 4:h * 2 // 3, w // 3:w * 4 // 5]] if min(h, w) > 1300 else []):
                    k = min(1.0, 640 / max(part.shape))
                    small = cv2.resize(part, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
                    out.append(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes())
    return out


def build(roots, to):
    files = {}
    for r in roots:
        for where in ("fonts/**/*.[ot]tf", "texlive/texmf-dist/fonts/**/*.[op][tf][fb]", "texlive/texmf-dist/fonts/truetype/**/*.ttf"):
            for f in sorted(glob.glob(os.path.join(r, "usr/share", where), recursive=True)):
                files.setdefault(os.path.basename(f), f)
    hands, skipped = [], []
    wanted = [(p, "hand", w) for p, w in HAND.items()] + [(p, "print", 1) for p in PRINT] + [(p, "held", 1) for p in HELD_OUT]
    for pattern, kind, weight in wanted:
        hits = sorted(n for n in files if n.startswith(pattern))
        if not hits:
            skipped.append(pattern)
        for n in hits:
            try:
                hands.append(dict(name=n, kind=kind, weight=weight / len(hits) ** 0.5, closed=True, glyphs=outline(files[n]),
                                  capitals=any(n.startswith(c) for c in CAPITALS)))
            except Exception as e:
                skipped.append(f"{n} ({e})")
    for name, weight in STROKES.items():
        found = [os.path.join(r, "usr/share/hershey-fonts", name + ".jhf") for r in roots]
        found = [f for f in found if os.path.exists(f)]
        if found:
            hands.append(dict(name="hershey-" + name, kind="stroke", weight=weight, closed=False, glyphs=hershey(found[0]), capitals=False))
        else:
            skipped.append(name)
    words = []
    for r in roots:
        d = os.path.join(r, "usr/share/dict/american-english")
        if os.path.exists(d) and not words:
            words = [w for w in open(d, encoding="utf-8").read().split() if w.isascii() and w.isalpha() and 1 < len(w) < 11 and not re.search(RUDE, w.lower())]
    if len(hands) < 20 or not words:
        sys.exit("fonts.py: fonts or words are missing under " + " ".join(roots) + "; run.sh fetches them")
    shots = photos(roots)
    with open(to + ".part", "wb") as f:
        pickle.dump(dict(hands=hands, words=words, photos=shots), f, protocol=4)
    os.replace(to + ".part", to)
    print(f"{len(hands)} hands, {len(words)} words, {len(shots)} photos -> {to}; not found or not whole: {', '.join(skipped) or 'none'}")


def cache_path():
    return os.path.join(os.environ.get("SENSES_TRAIN_DIR") or os.path.expanduser("~/.cache/senses/train"), "fonts.pickle")


def load(path=None):
    with open(path or cache_path(), "rb") as f:
        return pickle.load(f)


if __name__ == "__main__":
    os.makedirs(os.path.dirname(cache_path()), exist_ok=True)
    build(sys.argv[1:] or ["/"], cache_path())
