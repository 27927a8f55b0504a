#!/usr/bin/env python3
"""Media at the edges of their formats through the program: sizes, layouts and headers that are allowed and those that are not. Each ends with
status 0, or with status 1 and one line that names the file; within seconds, and without a signal. Prints "ok NAME" or "FAIL NAME".

    media.py [PATTERN]      SENSES=./senses; SENSES_SLOW=N: so much longer may it take
"""
import os
import re
import shutil
import struct
import sys
import tempfile
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402

ROOT, GOLDEN, SAMPLES = run.ROOT, run.GOLDEN, run.ROOT + "/samples"
SEE = ["encode", "--mmproj", GOLDEN + "/fusion/llava15_mmproj.gguf", "-o", "out.npy", "--image"]
HEAR = ["encode", "--mmproj", GOLDEN + "/audio/front_voxtral.gguf", "-o", "out.npy", "--audio"]
WATCH = ["ask", "-n", "1", "-m", run.TEXT, "--mmproj", GOLDEN + "/fusion/llava15_mmproj.gguf", "what?", "--video"]


# ---- pictures ----

def png(w, h, depth=8, color=2, rows=None, interlace=0, before=b"", header=None, data=None):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    n = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    line = b"\0" + bytes((w * n * depth + 7) // 8)
    body = data if data is not None else zlib.compress(rows if rows is not None else line * h, 9)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header or struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, interlace)) + before +
            chunk(b"IDAT", body) + chunk(b"IEND", b""))


def bmp(w, h, bits=24, n_bytes=None):
    row = (w * bits // 8 + 3) // 4 * 4
    n = row * abs(h) if n_bytes is None else n_bytes
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54 + n, 0, 0, 54, 40, w, h, 1, bits, 0, n, 0, 0, 0, 0) + bytes(n)


def gif(w, h, sub_w=None, sub_h=None, n_pictures=1):
    """Of clear and one-pixel codes: 2 colours, codes of 3 bits, cleared before they would grow."""
    sw, sh = w if sub_w is None else sub_w, h if sub_h is None else sub_h
    bits, out, fill = 0, bytearray(), 0

    def put(code):
        nonlocal bits, fill
        bits |= code << fill
        fill += 3
        while fill >= 8:
            out.append(bits & 255)
            bits >>= 8
            fill -= 8
    for i in range(sw * sh):
        if i % 2 == 0:
            put(4)
        put(0)
    put(5)
    out.append(bits & 255)
    blocks = b"".join(bytes([len(out[i:i + 255])]) + bytes(out[i:i + 255]) for i in range(0, len(out), 255)) + b"\0"
    one = b"," + struct.pack("<HHHHB", 0, 0, sw, sh, 0) + b"\2" + blocks
    return b"GIF89a" + struct.pack("<HHBBB", w, h, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + one * n_pictures + b";"


def pnm(kind, w, h, top=b"255", n=None):
    size = {b"P5": 1, b"P6": 3}[kind] * w * h * (2 if int(top) > 255 else 1)
    return kind + b" %d %d %s\n" % (w, h, top) + bytes(size if n is None else n)


def jpeg_sized(w, h):
    """sign-like: a valid small JPEG whose frame says another size."""
    data = bytearray(open(GOLDEN + "/vision/files/gray.jpg", "rb").read())
    at = data.index(b"\xff\xc0") + 5
    data[at:at + 4] = struct.pack(">HH", h, w)
    return bytes(data)


def exif_loop():
    """A directory that names itself as the next one, with 65535 entries."""
    tiff = b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 0x112, 3, 1, 6) * 20 + struct.pack("<I", 8)
    body = b"Exif\0\0" + tiff
    data = open(GOLDEN + "/vision/files/gray.jpg", "rb").read()
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def pictures():
    yes, no = "accept", "refuse"
    for w, h, verdict in ((0, 5, no), (5, 0, no), (0, 0, no), (65535, 1, yes), (1, 65535, yes), (65536, 1, no), (1, 65536, no), (65535, 65535, no), (1, 1, yes)):
        small = w * h < 1 << 20
        yield f"png-{w}x{h}", png(w, h) if small else png(w, h, rows=b"\0"), verdict
        yield f"pnm-{w}x{h}", pnm(b"P6", w, h) if small else pnm(b"P6", w, h, n=100), verdict
        if max(w, h) < 65536:
            yield f"gif-{w}x{h}", gif(w, h) if small else gif(w, h, 1, 1), verdict
            yield f"jpeg-{w}x{h}", jpeg_sized(w, h), "refuse" if verdict == no or w * h > 1 else "any"
        yield f"bmp-{w}x{h}", bmp(w, h) if small else bmp(w, h, n_bytes=100), verdict
    yield "bmp-top-down", bmp(7, -5), yes
    yield "bmp-lowest-height", bmp(1, -0x80000000, n_bytes=100), no
    yield "bmp-negative-width", bmp(-7, 5, n_bytes=100), no
    for big in (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        yield f"png-{big}", png(1, 1, header=struct.pack(">IIBBBBB", big, 1, 8, 2, 0, 0, 0)), no
    for color, depths in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)), (4, (8, 16)), (6, (8, 16))):
        for depth in depths:
            yield f"png-color{color}-{depth}", png(13, 3, depth, color), yes
            yield f"png-color{color}-{depth}-interlaced", png(1, 1, depth, color, interlace=1), yes
    yield "png-depth-3", png(4, 4, 3, 0), no
    yield "png-color-5", png(4, 4, header=struct.pack(">IIBBBBB", 4, 4, 8, 5, 0, 0, 0)), no
    yield "png-palette-missing", png(4, 4, 8, 3), no
    yield "png-interlace-2", png(4, 4, interlace=2), no
    yield "png-one-row-short", png(4, 4, rows=(b"\0" + bytes(12)) * 3), no
    yield "png-no-data", png(4, 4, data=b""), no
    yield "png-not-zlib", png(4, 4, data=b"\1\2\3\4\5\6\7\x08"), no
    yield "gif-two-pictures", gif(8, 8, n_pictures=2), yes
    yield "gif-picture-beyond-the-screen", gif(4, 4, 9, 9), "any"
    yield "gif-empty-picture", gif(4, 4, 0, 0), "any"
    yield "gif-no-picture", gif(4, 4, n_pictures=0), no
    yield "pnm-16-bit", pnm(b"P5", 3, 3, b"65535"), yes
    yield "pnm-top-0", b"P5 3 3 0\n" + bytes(9), no
    yield "pnm-top-65536", b"P5 3 3 65536\n" + bytes(18), no
    yield "pnm-huge-number", b"P6 99999999999999999999 1 255\n" + bytes(9), no
    yield "jpeg-exif-loop", exif_loop(), yes
    for line in open(GOLDEN + "/vision/files/list.txt"):
        name = line.split()[0]
        data = open(f"{GOLDEN}/vision/files/{name}", "rb").read()
        yield name, data, yes
        if not name.endswith((".tif", ".mkv", ".bmp", ".tga", ".pnm")):  # whose end may be slack
            yield name + "-half", data[:len(data) // 2], no


# ---- sound ----

def wav(n=1600, channels=1, rate=16000, bits=16, kind=1, data=None, riff=None, size=None, align=None, fmt=None, before=b"", after=b""):
    width = channels * bits // 8
    body = data if data is not None else bytes(n * width)
    head = fmt if fmt is not None else struct.pack("<HHIIHH", kind, channels & 0xFFFF, rate, rate * width & 0xFFFFFFFF,
                                                   (width if align is None else align) & 0xFFFF, bits)
    rest = b"WAVE" + before + b"fmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", len(body) if size is None else size) + body + after
    return b"RIFF" + struct.pack("<I", len(rest) if riff is None else riff) + rest


def sounds():
    yes, no = "accept", "refuse"
    yield "wav-0-frames", wav(0), no
    yield "wav-1-frame", wav(1), yes
    for channels in range(0, 67):
        yield f"wav-{channels}-channels", wav(100, channels), yes if 1 <= channels <= 64 else no
    yield "wav-65535-channels", wav(1, 65535, align=0xFFFF), no
    for rate in (0, 1, 999, 1000, 4000, 5512, 8000, 11025, 22050, 44100, 48000, 96000, 192000, 352800, 384000, 768000, 768001, 0x7FFFFFFF, 0xFFFFFFFF):
        yield f"wav-{rate}-hz", wav(4000, 1, rate), yes if 1000 <= rate <= 768000 else no
    for bits, kind in ((8, 1), (16, 1), (24, 1), (32, 1), (32, 3), (64, 3), (8, 6), (8, 7)):
        yield f"wav-format{kind}-{bits}-bit", wav(400, 2, bits=bits, kind=kind), yes
    for bits, kind in ((0, 1), (16, 0), (16, 0xFFFF), (128, 1), (16, 3)):
        yield f"wav-format{kind}-{bits}-bit", wav(400, 2, bits=bits, kind=kind, data=bytes(1600)), no
    for name, value in (("nan", float("nan")), ("infinity", float("inf")), ("3e38", 3e38), ("-1e30", -1e30), ("tiny", 1e-45)):
        yield f"wav-float-{name}", wav(bits=32, kind=3, data=struct.pack("<f", value) * 1600), yes
    for name, value in (("nan", float("nan")), ("1e300", 1e300)):
        yield f"wav-double-{name}", wav(bits=64, kind=3, data=struct.pack("<d", value) * 1600), yes
    for size in (0, 0xFFFFFFFF):
        yield f"wav-streamed-{size}", wav(size=size, riff=size), yes
    for riff in (0, 4, 36, 1000, 0x7FFFFFFF, 0xFFFFFFFE):
        yield f"wav-riff-{riff}", wav(riff=riff), "any"
    for size in (1, 3, 3198, 3202, 100000, 0xFFFFFFFE):
        yield f"wav-data-{size}", wav(size=size), "refuse" if size > 3200 else "any"
    yield "wav-align-0", wav(align=0), "any"
    yield "wav-align-3", wav(align=3), "any"
    yield "wav-fmt-short", wav(fmt=b"\1\0\1\0"), no
    yield "wav-fmt-empty", wav(fmt=b""), no
    yield "wav-chunk-of-4-gb-before", wav(before=b"junk\xff\xff\xff\xff"), no
    yield "wav-odd-chunk-before", wav(before=b"junk\3\0\0\0abc\0"), yes
    yield "wav-chunk-behind", wav(after=b"LIST\4\0\0\0INFO"), yes
    yield "wav-extensible", wav(400, 2, fmt=struct.pack("<HHIIHHHHI", 0xFFFE, 2, 16000, 64000, 4, 16, 22, 16, 3) + b"\1\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71", data=bytes(1600)), yes
    for path in ("jfk.mp3", "newuser.flac", "queue.ogg", "silence.wav"):
        data = open(f"{SAMPLES}/{path}", "rb").read()
        yield path, data, yes
        yield path + "-half", data[:len(data) // 2], no
    for path in (GOLDEN + "/audio/tone.opus", GOLDEN + "/video/sound_only.m4a"):
        data = open(path, "rb").read()
        yield os.path.basename(path), data, yes
        for part in (8, 4, 2):
            yield os.path.basename(path) + f"-cut-{part}", data[:len(data) - len(data) // part], no
        yield os.path.basename(path) + "-less-a-byte", data[:-1], no


def films():
    for name, verdict in (("cards.mp4", "accept"), ("sound_only.m4a", "refuse"), ("cover.m4a", "refuse"), ("wide.mp4", "accept")):
        data = open(f"{GOLDEN}/video/{name}", "rb").read()
        yield name, data, verdict
        yield name + "-half", data[:len(data) // 2], "refuse"


class Sparse:
    """A file of which only the beginning is there: behind it lie gigabytes of zeros that take no room."""

    def __init__(self, head, size=6 << 30):
        self.head, self.size = head, size


def sparse(kind):
    """What a download that fills its file beforehand leaves, or a recorder without power."""
    def film(name):
        return open(f"{GOLDEN}/vision/files/film.{name}", "rb").read()
    streamed = wav(0, size=0xFFFFFFFF, riff=0xFFFFFFFF)
    if kind == "pictures":
        for name in ("rgb.png", "gray.jpg", "animated.gif", "lossy.webp", "raw.tif", "420.avif"):
            yield "sparse-" + name, Sparse(open(f"{GOLDEN}/vision/files/{name}", "rb").read()), "refuse" if name[-3:] in ("png", "jpg", "gif") else "any"
        for name, verdict in (("avi", "any"), ("mkv", "any"), ("mp4", "any")):
            yield "sparse-film." + name, Sparse(film(name)), verdict
            yield "sparse-begin." + name, Sparse(film(name)[:700]), "refuse"
    if kind == "sounds":
        yield "sparse-streamed.wav", Sparse(streamed), "refuse"  # more than an hour
        yield "sparse-behind.wav", Sparse(wav()), "any"
        for name in ("jfk.mp3", "newuser.flac", "queue.ogg"):
            data = open(f"{SAMPLES}/{name}", "rb").read()
            yield "sparse-" + name, Sparse(data), "refuse"
            yield "sparse-begin-" + name, Sparse(data[:9000]), "refuse"
        yield "sparse-tone.opus", Sparse(open(GOLDEN + "/audio/tone.opus", "rb").read()), "refuse"
        yield "sparse-sound.webm", Sparse(open(GOLDEN + "/video/sound.webm", "rb").read()[:9000]), "refuse"
    if kind == "films":
        for name in ("avi", "mkv"):
            yield "sparse-film." + name, Sparse(film(name)), "refuse"
            yield "sparse-begin." + name, Sparse(film(name)[:4000]), "refuse"


def write(path, data):
    with open(path, "wb") as f:
        f.write(data.head if isinstance(data, Sparse) else data)
        if isinstance(data, Sparse):
            f.truncate(data.size)


def check(kind, command, files, pattern, folder):
    n = bad = 0
    for name, data, verdict in files:
        if pattern not in name:
            continue
        file = name.replace("/", "-")
        write(os.path.join(folder, file), data)
        status, err, kilobytes, _ = run.run(command + [file], folder)
        if command is WATCH and status == 0:
            err = ""
        wrong = run.problem(status, err, kilobytes, file, verdict)
        if not wrong and re.search("processor time|crashed|was stopped", err):
            wrong = f"ended by a limit alone: {err[:200]}"
        if not wrong and status == 1 and os.path.exists(os.path.join(folder, "out.npy")):
            wrong = "left an output"
        for left in (file, "out.npy"):
            if os.path.exists(os.path.join(folder, left)):
                os.unlink(os.path.join(folder, left))
        n += 1
        if wrong:
            bad += 1
            print(f"  {name}: senses {' '.join(command)}: {wrong}", flush=True)
    print(f"{'FAIL' if bad else 'ok'} robust media {kind}: {n} files" + (f", {bad} wrong" if bad else ""), flush=True)
    return bad == 0


if __name__ == "__main__":
    folder = tempfile.mkdtemp()
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    good = [check(kind, command, files, pattern, folder) for kind, command, files in
            (("pictures", SEE, pictures()), ("sounds", HEAR, sounds()), ("films", WATCH, films()), ("sparse pictures", SEE, sparse("pictures")),
             ("sparse sounds", HEAR, sparse("sounds")), ("sparse films", WATCH, sparse("films")))]
    shutil.rmtree(folder)
    sys.exit(0 if all(good) else 1)
