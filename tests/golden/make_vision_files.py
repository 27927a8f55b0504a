#!/usr/bin/env python3
"""Makes tests/golden/vision/files/: small pictures in every format and oddity that vision/ reads, each NAME.EXT with the upright RGB on
white that Pillow makes of it (NAME.EXT.rgb), and list.txt: file, width, height, largest difference allowed. And resize.txt: checksums
of Pillow's resampling of a noise that the test makes again.

Needs numpy 2.4.6, Pillow 12.0.0 (13.0 orders the passes differently), pillow-heif 1.8.1 and ffmpeg 5.1 with libx264 and libaom.
"""
import io, struct, subprocess, zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

OUT = Path(__file__).resolve().parent / "vision"
FILES = OUT / "files"
W, H = 23, 17
LIST = []


# ---- the picture ----

def picture(w=W, h=H):
    """Gradients, an edge, a little noise; smooth enough for JPEG."""
    y, x = np.mgrid[0:h, 0:w]
    rgb = np.stack([x * 255 / (w - 1), y * 255 / (h - 1), 128 + 100 * np.sin(x / 4 + y / 3)], -1)
    rgb[h // 2:, w // 2:] = 255 - rgb[h // 2:, w // 2:]
    return np.clip(rgb, 0, 255).astype(np.uint8)


RGB = picture()
ALPHA = np.clip(np.mgrid[0:H, 0:W][1] * 300.0 / W - 20, 0, 255).astype(np.uint8)
RGBA = np.dstack([RGB, ALPHA])
GRAY = RGB[..., 0]


def on_white(img):
    img = ImageOps.exif_transpose(img)
    if "transparency" in img.info or img.mode in ("RGBA", "LA", "PA"):
        img = img.convert("RGBA")
        img = Image.alpha_composite(Image.new("RGBA", img.size, "white"), img)
    return img.convert("RGB")


def add(name, data, expect=None, tol=0):
    """expect: RGB array, or None for what Pillow reads."""
    FILES.mkdir(parents=True, exist_ok=True)
    (FILES / name).write_bytes(data)
    rgb = np.asarray(on_white(Image.open(io.BytesIO(data)))) if expect is None else expect
    (FILES / (name + ".rgb")).write_bytes(rgb.tobytes())
    LIST.append(f"{name} {rgb.shape[1]} {rgb.shape[0]} {tol}")


def save(img, fmt, **kw):
    b = io.BytesIO()
    (img if isinstance(img, Image.Image) else Image.fromarray(img)).save(b, fmt, **kw)
    return b.getvalue()


def exif(value):
    e = Image.Exif()
    e[0x0112] = value
    return e.tobytes()


# ---- PNG ----

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_rows(samples, depth):
    """[h, w * channels] of `depth` bits, each row with filter 0."""
    rows = []
    for r in samples:
        if depth == 16:
            rows.append(b"\0" + r.astype(">u2").tobytes())
        elif depth == 8:
            rows.append(b"\0" + r.astype(np.uint8).tobytes())
        else:
            bits = ((r[:, None] >> np.arange(depth - 1, -1, -1)) & 1).ravel().astype(np.uint8)
            rows.append(b"\0" + np.packbits(bits).tobytes())
    return b"".join(rows)


def png(samples, colour, depth, extra=(), interlaced=False):
    """samples [h, w, channels], raw values."""
    h, w = samples.shape[:2]
    if interlaced:
        raw = b""
        for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
            p = samples[y0::dy, x0::dx]
            if p.size:
                raw += pack_rows(p.reshape(p.shape[0], -1), depth)
    else:
        raw = pack_rows(samples.reshape(h, -1), depth)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, int(interlaced))) +
            b"".join(chunk(k, d) for k, d in extra) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def white(rgb, a):
    return np.asarray(Image.alpha_composite(Image.new("RGBA", (rgb.shape[1], rgb.shape[0]), "white"), Image.fromarray(np.dstack([rgb, a]))).convert("RGB"))


def make_png():
    gray3 = np.dstack([GRAY] * 3)
    add("rgb.png", save(RGB, "PNG"))
    add("rgba.png", save(RGBA, "PNG"))
    add("gray.png", save(GRAY, "PNG"))
    add("graya.png", png(np.dstack([GRAY, ALPHA]), 4, 8), white(gray3, ALPHA))
    wide = RGB.astype(np.uint16) * 256 + RGB[::-1]                    # the low bytes are something else
    add("rgb16.png", png(wide, 2, 16), RGB)
    add("rgba16.png", png(np.dstack([wide, ALPHA.astype(np.uint16) * 256 + 77]), 6, 16), white(RGB, ALPHA))
    add("gray16.png", png(wide[..., :1], 0, 16), gray3)
    for depth in (1, 2, 4):
        v = GRAY >> (8 - depth)
        add(f"gray{depth}.png", png(v[..., None], 0, depth), np.dstack([(v * (255 // (2**depth - 1))).astype(np.uint8)] * 3))
    pal = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (16, 3)).astype(np.uint8)
    idx = (GRAY >> 4)
    add("palette4.png", png(idx[..., None], 3, 4, [(b"PLTE", pal.tobytes())]), pal[idx])
    a = np.arange(0, 250, 25, dtype=np.uint8)                          # fewer alphas than colours
    full = np.concatenate([a, np.full(6, 255, np.uint8)])
    add("palette_trns.png", png(idx[..., None], 3, 8, [(b"PLTE", pal.tobytes()), (b"tRNS", a.tobytes())]), white(pal[idx], full[idx]))
    key = RGB[3, 5]
    add("rgb_trns.png", png(RGB, 2, 8, [(b"tRNS", struct.pack(">HHH", *[int(k) for k in key]))]),
        white(RGB, np.where((RGB == key).all(-1), 0, 255).astype(np.uint8)))
    add("interlaced.png", png(RGB, 2, 8, interlaced=True), RGB)
    add("interlaced_palette.png", png(idx[..., None], 3, 4, [(b"PLTE", pal.tobytes())], interlaced=True), pal[idx])
    add("exif6.png", save(RGB, "PNG", exif=exif(6)))
    add("one.png", save(RGB[:1, :1], "PNG"))
    bomb = png(RGB[:2, :2], 2, 8)                                      # 2 x 2 pixels whose data inflate to 64 MB: not in the list
    at = bomb.index(b"IDAT") - 4
    (FILES / "bomb.png").write_bytes(bomb[:at] + chunk(b"IDAT", zlib.compress(bytes(1 << 26), 9)) + chunk(b"IEND", b""))


# ---- JPEG: stb_image's transform and chroma filter round differently ----

def make_jpeg():
    big = picture(61, 43)
    add("q95_444.jpg", save(big, "JPEG", quality=95, subsampling=0), tol=3)
    add("q90_420.jpg", save(big, "JPEG", quality=90, subsampling=2), tol=4)
    add("gray.jpg", save(big[..., 0], "JPEG", quality=95), tol=3)
    add("progressive.jpg", save(big, "JPEG", quality=95, subsampling=0, progressive=True), tol=3)
    add("restart.jpg", save(big, "JPEG", quality=95, subsampling=0, restart_marker_blocks=3), tol=3)
    cmyk = Image.fromarray(big).convert("CMYK")
    add("cmyk.jpg", save(cmyk, "JPEG", quality=95, subsampling=0), tol=5)
    for v in range(1, 9):
        add(f"exif{v}.jpg", save(RGB, "JPEG", quality=97, subsampling=0, exif=exif(v)), tol=4)
    add("exif9.jpg", save(RGB, "JPEG", quality=97, subsampling=0, exif=exif(9)), tol=4)


# ---- the small formats ----

def make_simple():
    add("palette.gif", save(Image.fromarray(RGB).quantize(32), "GIF"))
    mask = Image.fromarray(RGB).quantize(16)
    add("transparent.gif", save(mask, "GIF", transparency=3))
    frames = [Image.fromarray(np.roll(RGB, 5 * i, 0)).quantize(16) for i in range(3)]
    add("animated.gif", save(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100))
    add("rgb.bmp", save(RGB, "BMP"))
    add("gray.bmp", save(GRAY, "BMP"))
    add("one_bit.bmp", save(Image.fromarray(GRAY).convert("1"), "BMP"))
    add("top_down.bmp", bmp_top_down())
    add("rle8.bmp", bmp_rle8())
    for digit, data, expect in pnm():
        add(f"p{digit}.pnm", data, expect)
    add("raw.tga", save(RGB, "TGA"))
    add("rle.tga", save(RGB, "TGA", compression="tga_rle"))
    add("alpha.tga", save(RGBA, "TGA"))
    add("gray.tga", save(GRAY, "TGA"))
    add("rgb.psd", psd(False), RGB)
    add("rle.psd", psd(True), RGB)
    for name, rle in (("flat.hdr", False), ("rle.hdr", True)):
        data, expect = hdr(rle)
        add(name, data, expect, 1)


def bmp_top_down():
    d = bytearray(save(RGB, "BMP"))
    row = (W * 3 + 3) // 4 * 4
    at = struct.unpack_from("<I", d, 10)[0]
    rows = [d[at + i * row:at + (i + 1) * row] for i in range(H)]
    struct.pack_into("<i", d, 22, -H)
    d[at:at + row * H] = b"".join(reversed(rows))
    return bytes(d)


def bmp_rle8():
    idx = np.repeat(GRAY >> 5, 1).reshape(H, W)
    body = b""
    for r in idx[::-1]:
        x = 0
        while x < W:
            n = 1
            while x + n < W and r[x + n] == r[x]:
                n += 1
            body += bytes([n, r[x]])
            x += n
        body += b"\0\0"
    body += b"\0\1"
    pal = b"".join(bytes([30 * i, 255 - 30 * i, 17 * i, 0]) for i in range(8))
    at = 54 + len(pal)
    return (b"BM" + struct.pack("<IHHI", at + len(body), 0, 0, at) + struct.pack("<IiiHHIIiiII", 40, W, H, 1, 8, 1, len(body), 2835, 2835, 8, 8) + pal + body)


def pnm():
    bit = (GRAY > 100).astype(np.uint8)
    gray3 = lambda g: np.dstack([g] * 3)
    scale = lambda v, m: np.rint(v / m * 255).astype(np.uint8)
    txt = lambda a: "\n".join(" ".join(map(str, r)) for r in a.reshape(H, -1)).encode()
    yield 1, b"P1\n# a comment\n%d %d\n" % (W, H) + "\n".join("".join(map(str, 1 - r)) for r in bit).encode() + b"\n", gray3(bit * 255)
    yield 2, b"P2 %d %d 31\n" % (W, H) + txt(GRAY >> 3) + b"\n", gray3(scale(GRAY >> 3, 31))
    yield 3, b"P3\n%d\n%d # size\n255\n" % (W, H) + txt(RGB) + b"\n", RGB
    yield 4, b"P4\n%d %d\n" % (W, H) + np.packbits(1 - bit, axis=1).tobytes(), gray3(bit * 255)
    yield 5, b"P5\n%d %d\n100\n" % (W, H) + (GRAY // 3).tobytes(), gray3(scale(GRAY // 3, 100))
    yield 6, b"P6\n%d %d\n255\n" % (W, H) + RGB.tobytes(), RGB
    deep = RGB.astype(np.uint16) * 40
    yield 7, b"P6\n%d %d\n10200\n" % (W, H) + deep.astype(">u2").tobytes(), scale(deep, 10200)


def packbits(row):
    out, x = b"", 0
    while x < len(row):
        n = 1
        while x + n < len(row) and n < 128 and row[x + n] == row[x]:
            n += 1
        out += bytes([257 - n & 255, row[x]]) if n > 1 else bytes([0, row[x]])
        x += n
    return out


def psd(rle):
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, H, W, 8, 3) + struct.pack(">III", 0, 0, 0)
    planes = [RGB[..., c] for c in range(3)]
    if not rle:
        return head + b"\0\0" + b"".join(p.tobytes() for p in planes)
    rows = [packbits(r.tobytes()) for p in planes for r in p]
    return head + b"\0\1" + b"".join(struct.pack(">H", len(r)) for r in rows) + b"".join(rows)


def hdr(rle):
    rgbe = np.dstack([RGB // 2 + 128, np.full((H, W), 129, np.uint8)])
    rgbe[: H // 2, ..., 3] = 127
    data = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (H, W)
    for row in rgbe:
        if rle:
            data += bytes([2, 2, W >> 8, W & 255])
            for c in range(4):
                data += bytes([W]) + row[:, c].tobytes() if c < 3 else bytes([128 + W, row[0, 3]])
        else:
            data += row.tobytes()
    light = rgbe[..., :3].astype(np.float32) * np.float32(2.0) ** (rgbe[..., 3:].astype(np.float32) - 136)
    return data, np.clip(light.astype(np.float64) ** (1 / 2.2) * 255 + 0.5, 0, 255).astype(np.uint8)


# ---- what libavcodec reads ----

def make_av():
    big = picture(61, 43)
    alpha = np.dstack([big, np.clip(np.mgrid[0:43, 0:61][1] * 5.0 - 20, 0, 255).astype(np.uint8)])
    add("lossless.webp", save(RGB, "WEBP", lossless=True))
    add("lossless_alpha.webp", save(Image.fromarray(alpha), "WEBP", lossless=True, exact=True))
    add("lossy.webp", save(big, "WEBP", quality=98), tol=2)
    add("lossy_alpha.webp", save(Image.fromarray(alpha), "WEBP", quality=98, exact=True), tol=2)
    add("exif8.webp", save(RGB, "WEBP", lossless=True, exif=exif(8)))
    frames = [Image.fromarray(np.roll(RGB, 5 * i, 0)) for i in range(3)]
    add("animated.webp", save(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))
    add("raw.tif", save(RGB, "TIFF"))
    add("lzw.tif", save(RGB, "TIFF", compression="tiff_lzw"))
    add("deflate_gray.tif", save(GRAY, "TIFF", compression="tiff_adobe_deflate"))
    ifd = Image.Exif()
    ifd[274] = 5
    add("orientation5.tif", save(RGB, "TIFF", exif=ifd))
    add("444.avif", save(big, "AVIF", quality=95, subsampling="4:4:4"), tol=4)
    add("420.avif", save(big, "AVIF", quality=95), tol=12)
    add("alpha.avif", save(Image.fromarray(alpha), "AVIF", quality=95, subsampling="4:4:4"), tol=6)
    for v in range(2, 9):
        upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(save(big, "PNG", exif=exif(v))))))
        add(f"orientation{v}.avif", save(big, "AVIF", quality=95, subsampling="4:4:4", exif=exif(v)), upright, tol=12)
    make_heic()
    make_grid()
    make_films()


def make_heic():
    import pillow_heif
    side = picture(64, 64)
    b = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(side)).save(b, quality=95, chroma=444)
    add("still.heic", b.getvalue(), side, tol=12)


def box(kind, *parts):
    data = b"".join(parts)
    return struct.pack(">I", len(data) + 8) + kind + data


def boxes(data):
    at = 0
    while at < len(data):
        n, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8:at + n]
        at += n


def make_grid():
    """A grid of 2 x 2 pictures of 64 x 64 that shows 100 x 90 pixels, as telephones write them."""
    whole = picture(128, 128)
    tiles = [whole[y:y + 64, x:x + 64] for y in (0, 64) for x in (0, 64)]
    coded, config = [], None
    for t in tiles:
        f = save(t, "AVIF", quality=95, subsampling="4:4:4")
        meta = next(d for k, d in boxes(f) if k == b"meta")[4:]
        ipco = next(d for k, d in boxes(next(d for k, d in boxes(meta) if k == b"iprp")) if k == b"ipco")
        config = next(d for k, d in boxes(ipco) if k == b"av1C")
        coded.append(next(d for k, d in boxes(f) if k == b"mdat"))
    full = lambda kind, version, flags, *p: box(kind, struct.pack(">I", version << 24 | flags), *p)
    infe = lambda i, kind: full(b"infe", 2, 0, struct.pack(">HH4s", i, 0, kind), b"\0")
    ispe = lambda w, h: full(b"ispe", 0, 0, struct.pack(">II", w, h))
    prop = box(b"ipco", ispe(100, 90), ispe(64, 64), box(b"av1C", config))
    ipma = full(b"ipma", 0, 0, struct.pack(">I", 5), struct.pack(">HBB", 1, 1, 1), *[struct.pack(">HBBB", i, 2, 2, 0x83) for i in range(2, 6)])
    iref = full(b"iref", 0, 0, box(b"dimg", struct.pack(">HH4H", 1, 4, 2, 3, 4, 5)))
    grid = struct.pack(">BBBBHH", 0, 0, 1, 1, 100, 90)
    ftyp = box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")

    def meta(base):
        at, locs = base, []
        for i, d in enumerate(coded):
            locs.append(struct.pack(">HHHHII", i + 2, 0, 0, 1, at, len(d)))
            at += len(d)
        iloc = full(b"iloc", 1, 0, struct.pack(">HH", 0x4400, 5), struct.pack(">HHHHII", 1, 1, 0, 1, 0, len(grid)), *locs)
        return full(b"meta", 0, 0, full(b"hdlr", 0, 0, b"\0\0\0\0pict", b"\0" * 13), full(b"pitm", 0, 0, struct.pack(">H", 1)), iloc,
                    full(b"iinf", 0, 0, struct.pack(">H", 5), infe(1, b"grid"), *[infe(i, b"av01") for i in range(2, 6)]), iref,
                    box(b"iprp", prop, ipma), box(b"idat", grid))

    base = len(ftyp) + len(meta(0)) + 8
    add("grid.avif", ftyp + meta(base) + box(b"mdat", *coded), whole[:90, :100], tol=12)


def make_films():
    side = picture(64, 48)
    run = lambda *a, **k: subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *a], check=True, **k)
    raw = b"".join(np.roll(side, 3 * i, 0).tobytes() for i in range(3))
    head = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "64x48", "-r", "5", "-i", "-"]
    for name, args in (("film.mp4", ["-c:v", "libx264rgb", "-qp", "0", "-movflags", "faststart", "-bitexact"]), ("film.mkv", ["-c:v", "libx264rgb", "-qp", "0", "-bitexact"]),
                       ("film.avi", ["-c:v", "ffv1", "-pix_fmt", "bgr0", "-bitexact"])):
        run(*head, *args, str(FILES / name), input=raw)
        add(name, (FILES / name).read_bytes(), side)
    run("-i", str(FILES / "film.mp4"), "-c", "copy", "-metadata:s:v", "rotate=90", "-bitexact", str(FILES / "turned.mp4"))
    add("turned.mp4", (FILES / "turned.mp4").read_bytes(), np.ascontiguousarray(np.rot90(side)))


# ---- resampling ----

def noise(w, h):
    i = np.arange(w * h * 3, dtype=np.uint32)
    i = i * np.uint32(2654435761)
    i ^= i >> 15
    i *= np.uint32(2246822519)
    return ((i ^ i >> 13) & 255).astype(np.uint8).reshape(h, w, 3)


def make_resize():
    names = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
    sizes = [(1, 1, 1, 1), (1, 1, 5, 7), (3, 2000, 336, 336), (2000, 3, 64, 64), (337, 335, 336, 336), (336, 336, 337, 335), (4000, 3000, 512, 384),
             (640, 488, 2048, 1562), (100, 70, 100, 33), (100, 70, 33, 70), (97, 61, 96, 60), (500, 900, 7, 1), (5, 4, 3, 3)]
    lines = []
    for w, h, ow, oh in sizes:
        img = Image.fromarray(noise(w, h))
        for name, f in names.items():
            if (w, ow) == (4000, 512) and name == "bilinear":
                continue
            lines.append(f"{w} {h} {ow} {oh} {name} {zlib.crc32(img.resize((ow, oh), f).tobytes()):08x}")
    (OUT / "resize.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    make_png()
    make_jpeg()
    make_simple()
    make_av()
    (FILES / "list.txt").write_text("\n".join(LIST) + "\n")
    make_resize()
