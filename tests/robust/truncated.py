#!/usr/bin/env python3
"""Sound and films cut at many places, of every container, through transcribe: refused with one line that says it is truncated; with
--accept-truncated heard as far as it goes, with one warning and "partial": true, or refused as well. Prints "ok NAME" or "FAIL NAME".

    truncated.py [PATTERN]      SENSES=./senses; SENSES_SLOW=N: so much longer may it take
"""
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402

PLACES = 11  # evenly over a file; and some at its ends
SAMPLES = struct.pack("<24000h", *(int(8000 * math.sin(i / 9)) for i in range(24000)))  # 1.5 s at 16 kHz
SWAPPED = b"".join(SAMPLES[i + 1:i + 2] + SAMPLES[i:i + 1] for i in range(0, len(SAMPLES), 2))


def read(path):
    with open(os.path.join(run.ROOT, path), "rb") as f:
        return f.read()


def chunk(kind, body, order="<"):
    return kind + struct.pack(order + "I", len(body)) + body + b"\0" * (len(body) % 2)


FMT = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)


def wav():
    body = b"WAVE" + chunk(b"fmt ", FMT) + chunk(b"data", SAMPLES)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def rf64():
    n = len(SAMPLES)
    body = b"WAVE" + chunk(b"ds64", struct.pack("<QQQI", 80 + n - 8, n, n // 2, 0)) + chunk(b"fmt ", FMT) + b"data\xff\xff\xff\xff" + SAMPLES
    return b"RF64\xff\xff\xff\xff" + body


def w64():
    tail = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
    part = lambda kind, body: kind + tail + struct.pack("<Q", 24 + len(body)) + body  # noqa: E731
    body = b"wave" + tail + part(b"fmt ", FMT) + part(b"data", SAMPLES)
    return b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00" + struct.pack("<Q", 24 + len(body)) + body


def aiff():
    rate = b"\x40\x0c\xfa" + bytes(7)
    body = b"AIFF" + chunk(b"COMM", struct.pack(">hIh", 1, len(SAMPLES) // 2, 16) + rate, ">") + chunk(b"SSND", bytes(8) + SWAPPED, ">")
    return b"FORM" + struct.pack(">I", len(body)) + body


def au():
    return b".snd" + struct.pack(">IIIII", 24, len(SAMPLES), 3, 16000, 1) + SWAPPED


def caf():
    desc = struct.pack(">d4sIIIII", 16000, b"lpcm", 0, 2, 1, 1, 16)
    part = lambda kind, body: kind + struct.pack(">Q", len(body)) + body  # noqa: E731
    return b"caff\0\1\0\0" + part(b"desc", desc) + part(b"data", bytes(4) + SWAPPED)


def index_first(data):
    """An MP4 whose index stands in front of what it tells of."""
    boxes, at = [], 0
    while at < len(data):
        n, kind = struct.unpack_from(">I4s", data, at)
        boxes.append((kind, data[at:at + n], at))
        at += n
    moov = bytearray(next(b for kind, b, _ in boxes if kind == b"moov"))
    moved = len(moov) if [k for k, _, _ in boxes].index(b"moov") > [k for k, _, _ in boxes].index(b"mdat") else 0
    for m in re.finditer(b"stco", bytes(moov)):
        n = struct.unpack_from(">I", moov, m.end() + 4)[0]
        for i in range(n):
            o = m.end() + 8 + 4 * i
            struct.pack_into(">I", moov, o, struct.unpack_from(">I", moov, o)[0] + moved)
    first = [b for kind, b, _ in boxes if kind == b"ftyp"]
    return b"".join(first) + bytes(moov) + b"".join(b for kind, b, _ in boxes if kind not in (b"ftyp", b"moov"))


def avi():
    """Sound alone, a tenth of a second a chunk, with an index."""
    parts = [SAMPLES[i:i + 3200] for i in range(0, len(SAMPLES), 3200)]
    strh = struct.pack("<4s4sIHHIIIIIIIIhhhh", b"auds", bytes(4), 0, 0, 0, 0, 2, 32000, 0, len(SAMPLES) // 2, 3200, 0xFFFFFFFF, 2, 0, 0, 0, 0)
    avih = struct.pack("<14I", 100000, 32000, 0, 0x10, len(parts), 0, 1, 3200, 0, 0, 0, 0, 0, 0)
    strl = b"strl" + chunk(b"strh", strh) + chunk(b"strf", FMT + b"\0\0")
    hdrl = b"hdrl" + chunk(b"avih", avih) + chunk(b"LIST", strl)
    movi = b"movi" + b"".join(chunk(b"00wb", p) for p in parts)
    index = b"".join(struct.pack("<4sIII", b"00wb", 0x10, 4 + sum(8 + len(q) for q in parts[:i]), len(p)) for i, p in enumerate(parts))
    body = b"AVI " + chunk(b"LIST", hdrl) + chunk(b"LIST", movi) + chunk(b"idx1", index)
    return b"RIFF" + struct.pack("<I", len(body)) + body


# Name, file, and whether the sound lies evenly in it.
def sounds():
    mp4 = read("samples/testpattern.mp4")
    yield "wav", wav(), True
    yield "rf64.wav", rf64(), True
    yield "w64", w64(), True
    yield "aiff", aiff(), True
    yield "au", au(), True
    yield "caf", caf(), True
    yield "avi", avi(), True
    yield "flac", read("samples/newuser.flac"), True
    yield "mp3", read("samples/jfk.mp3"), True
    yield "ogg", read("samples/queue.ogg"), True
    yield "opus", read("tests/golden/audio/tone.opus"), False
    yield "m4a", read("tests/golden/video/sound_only.m4a"), False
    yield "index-last.mp4", mp4, False
    yield "index-first.mp4", index_first(mp4), False
    yield "webm", read("tests/golden/video/sound.webm"), False


def places(n):
    return sorted({0, 1, 4, 12, 100, 1000, n - 1000, n - 100, n - 2, n - 1} | {n * i // (PLACES + 1) for i in range(1, PLACES + 1)})


def hear(name, folder, whisper, *more):
    """(status, standard error, the record)"""
    command = [run.SENSES, "transcribe", "--whisper", whisper, "--json", *more, name]
    try:
        p = subprocess.run(command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=20 * run.SLOW,
                           env=dict(os.environ, SENSES_HOME="/nonexistent", XDG_CACHE_HOME="/dev/null"))
    except subprocess.TimeoutExpired:
        return None, "", {}
    return p.returncode, p.stderr.decode("utf-8", "replace"), json.loads(p.stdout) if p.stdout.strip() else {}


def problem_refused(status, err, record, name):
    if status != 1:
        return "did not end in time" if status is None else f"status {status}: {err[-600:]}"
    if len(err.splitlines()) != 1 or not err.startswith(f"senses: {name}: "):
        return f"not one line that names the file: {err[:300]}"
    if "partial" in record or f"{name}: " not in record.get("error", f"{name}: "):
        return f"a wrong record: {record}"
    return None


def problem_taken(status, err, record, name, size, whole_s, n, even):
    """Of what was taken of a file with --accept-truncated."""
    warnings = [line for line in err.splitlines() if "warning: truncated: only " in line and line.endswith(" can be read")]
    heard = record.get("duration", -1)
    if status != 0 or record.get("partial") is not True or "error" in record:
        return f"status {status}, {record}"
    if len(warnings) != 1 or not warnings[0].startswith(f"senses: {name}: "):
        return f"not one warning: {err[:300]}"
    if not 0 < heard <= whole_s + 0.1:
        return f"{heard} s of {whole_s} s were heard"
    if even and abs(heard / whole_s - size / n) > 0.2:
        return f"{heard} s of {whole_s} s were heard of {size} of {n} bytes"
    return None


def check(name, data, even, folder, whisper):
    bad, taken = [], 0

    def write(part):
        with open(os.path.join(folder, "cut-" + name), "wb") as f:
            f.write(part)

    write(data)
    status, err, record = hear("cut-" + name, folder, whisper)
    whole_s = record.get("duration", 0)
    if status != 0 or whole_s <= 0:
        bad.append(f"the whole file: status {status}, {err[:300]}")
    for size in places(len(data)):
        write(data[:size])
        file = "cut-" + name
        wrong = problem_refused(*hear(file, folder, whisper), file)
        if wrong:
            bad.append(f"{size} of {len(data)} bytes: {wrong}")
        status, err, record = hear(file, folder, whisper, "--accept-truncated")
        taken += status == 0
        wrong = problem_refused(status, err, record, file) if status == 1 else problem_taken(status, err, record, file, size, whole_s, len(data), even)
        if not wrong and even and status == 1 and size > 0.2 * len(data):
            wrong = f"nothing of it was taken: {err[:200]}"
        if wrong:
            bad.append(f"{size} of {len(data)} bytes, --accept-truncated: {wrong}")
    for text in bad:
        print(f"  {name}: {text}", flush=True)
    print(f"{'FAIL' if bad else 'ok'} robust truncated {name}: {len(places(len(data)))} cuts, {taken} taken" + (f", {len(bad)} wrong" if bad else ""), flush=True)
    return not bad


if __name__ == "__main__":
    folder = tempfile.mkdtemp()
    whisper = run.original("whisper", None, folder)
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    good = [check(*sound, folder, whisper) for sound in sounds() if pattern in sound[0]]
    shutil.rmtree(folder)
    sys.exit(0 if all(good) else 1)
