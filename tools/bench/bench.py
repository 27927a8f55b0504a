"""Ours and theirs in turn (A B A B ...), on the same file, with the same threads; one table. Run by bench.sh.

Each figure is a rate (more is better). The ratio is ours / peer, taken pair by pair, so that it holds when the machine's speed drifts. The
share is of what limits.c finds this machine can do at most: of the memory's read rate where tokens are written one by one, else of the
operations a second: 8-bit ones with quantised weights, of which a product with ours takes two, float32 ones with others.
Peak memory is the largest resident set of the whole process, as the system accounts it."""
import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CLIP_L_OPS, SIGLIP_B_OPS, TINY_EN_OPS, BASE_OPS = 373e9, 214e9, 37e9, 87e9  # of one picture, one tile, one window


def run(a, args, also_errors=False, may_fail=False):
    """Runs a command; its output, its peak resident set in MiB, its seconds."""
    env = dict(os.environ, CT2_FORCE_CPU_ISA="AVX2") if a.isa == "avx2" else None
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        p = subprocess.Popen([str(x) for x in args], stdout=out, stderr=subprocess.STDOUT if also_errors else subprocess.DEVNULL,
                             stdin=subprocess.DEVNULL, env=env)
        _, status, usage = os.wait4(p.pid, 0)
        seconds = time.perf_counter() - start
        p.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")
    if p.returncode and not may_fail:
        raise SystemExit(f"bench: {args[0]} failed ({p.returncode}): {' '.join(map(str, args))}")
    return text, usage.ru_maxrss / 1024, seconds


# ---- ours ----

def senses(a, *args):
    return [a.senses, args[0], "-q", "-t", a.threads, *(["--isa", a.isa] if a.isa else []), *args[1:]]


def ours(a, *args):
    text, rss, _ = run(a, senses(a, "bench", "--json", "-r", 1, *args))
    return {r["test"]: r["per_s"] for r in map(json.loads, text.splitlines())}, rss


def our_process(a, *args):
    _, rss, seconds = run(a, senses(a, *args))
    return {"whole process": 1 / seconds}, rss


# ---- theirs ----

def llama_bench(a, name, model, n_prompt, n_gen, *more):
    text, rss, _ = run(a, [a.peers / f"{name}-build/bin/llama-bench", "-m", model, "-t", a.threads, "-p", n_prompt, "-n", n_gen, "-r", 1, "-o", "json",
                           *more])
    return {f"pp{r['n_prompt']}" if r["n_prompt"] else f"tg{r['n_gen']}": r["avg_ts"] for r in json.loads(text[text.index("["):])}, rss


def mtmd(a, model, mmproj, picture, n_predict, rows=0):
    """One picture and an answer. What the program says of its parts, and the whole. rows 0: the picture alone, for what comes then may end the
    program: llama.cpp 0.3.36 aborts on SigLIP's rows where the vocabulary has no tokens to put around them."""
    text, rss, seconds = run(a, [a.llama / "llama-mtmd-cli", "-m", model, "--mmproj", mmproj, "--image", picture, "-p", "What is it?", "-n", n_predict,
                                 "-t", a.threads, "--temp", 0, "--chat-template", "vicuna", "--no-warmup", "-lv", 4], also_errors=True, may_fail=rows == 0)
    encode_s, decode_s = (sum(map(int, re.findall(what + r" in (\d+) ms", text))) / 1000 for what in ("encoding done", r"image decoded \([^)]*\)"))
    if rows == 0:
        return {"picture": 1 / encode_s}, rss
    return {"picture": 1 / encode_s, f"pp{rows}": rows / decode_s, "whole process": 1 / seconds}, rss


def faster_whisper(a, folder, precision):
    text, rss, _ = run(a, [sys.executable, HERE / "peer_faster_whisper.py", folder, precision, a.threads, a.sample])
    return json.loads(text), rss


def whisper_cpp(a, name, model):
    text, rss, seconds = run(a, [a.peers / f"{name}/bin/whisper-cli", "-m", model, "-t", a.threads, "-bs", 1, "-bo", 1, "-f", a.sample], also_errors=True)
    ms, runs = re.search(r"encode time = +([0-9.]+) ms / +([0-9]+) runs", text).groups()
    return {"window": int(runs) * 1000 / float(ms), "11 s sample": 1 / seconds}, rss


# ---- the table ----

def pairs(a, mine, theirs):
    """Runs both in turn, one uncounted pair first; a list of (ours, peer) results."""
    got = []
    for i in range(a.pairs + 1):
        got.append((mine(), theirs()))
        print(f"\r  pair {i} of {a.pairs}  ", end="", file=sys.stderr, flush=True)
    print("\r" + " " * 30 + "\r", end="", file=sys.stderr)
    return got[1:]


def rows(work, weights, peer, got, tests):
    """tests: (name, unit, the machine's limit in units a second or None)"""
    for test, unit, limit in tests:
        x, y = [m[0][test] for m, _ in got], [t[0][test] for _, t in got]
        ratio = sorted(p / q for p, q in zip(x, y))
        yield dict(work=f"{work} {test}", weights=weights, unit=unit, ours=statistics.median(x), peer_name=peer, peer=statistics.median(y),
                   ratio_min=ratio[0], ratio=statistics.median(ratio), ratio_max=ratio[-1], share=statistics.median(x) / limit if limit else None,
                   mib=max(m[1] for m, _ in got), peer_mib=max(t[1] for _, t in got))


HEAD = (f"{'work':26s} {'weights':9s} {'ours':>9s} {'peer':>9s} {'unit':10s} {'min':>5s} {'ratio':>6s} {'max':>5s} {'share':>5s}"
        f" {'MiB':>6s} {'peer':>6s}  peer")


def show(r):
    share = f"{r['share']:5.0%}" if r["share"] else "     "
    print(f"{r['work']:26s} {r['weights']:9s} {r['ours']:9.{1 if r['ours'] >= 10 else 3}f} {r['peer']:9.{1 if r['peer'] >= 10 else 3}f} {r['unit']:10s}"
          f" {r['ratio_min']:5.2f} {r['ratio']:6.2f} {r['ratio_max']:5.2f} {share} {r['mib']:6.0f} {r['peer_mib']:6.0f}  {r['peer_name']}", flush=True)


def text_peers(a):
    yield "llama.cpp", lambda model, p, n: llama_bench(a, a.llama.parent.name.removesuffix("-build"), model, p, n)
    if not a.isa and (a.peers / "ik_llama.cpp-build/bin/llama-bench").exists():
        yield "ik_llama.cpp -rtr", lambda model, p, n: llama_bench(a, "ik_llama.cpp", model, p, n, "-rtr", 1)


def text_rows(a):
    models = [("SmolLM2-135M", kind, a.home / f"models/smollm2-135m-instruct-{kind}.gguf", 135e6, 128) for kind in ("q4_1", "q8_0")]
    models += [("Llama 1.1B", kind, a.made / f"llama-1b-{kind}.gguf", 1.035e9, 32) for kind in ("q4_0", "q4_k_m", "q8_0", "f16")]
    for work, kind, model, params, n_gen in models:
        ops = a.limits["float_ops"] if kind == "f16" else a.limits["integer_ops"]  # one product of bytes a weight
        tests = (("pp512", "tok/s", ops / (2 * params)), (f"tg{n_gen}", "tok/s", a.limits["read_bytes"] / model.stat().st_size))
        for peer, theirs in text_peers(a):
            got = pairs(a, lambda: ours(a, "-m", model, "-p", 512, "-n", n_gen), lambda: theirs(model, 512, n_gen))
            yield from rows(work, kind.upper(), peer, got, tests)


def picture(side):
    """A file with a picture of noise and shapes."""
    path = Path(tempfile.gettempdir()) / f"senses-bench-{side}.ppm"
    pixels = bytes((x * y // 7 + 13 * x + (x // 40 * 91 ^ y // 40 * 57)) % 256 for y in range(side) for x in range(side) for _ in range(3))
    path.write_bytes(b"P6\n%d %d\n255\n" % (side, side) + pixels)
    return path


def vision_rows(a):
    text, peer = a.made / "llama-1b-q4_0.gguf", "llama.cpp"
    clip, siglip, small, large = a.made / "clip-l-336-mmproj.gguf", a.made / "siglip-b-512-mmproj.gguf", picture(336), picture(512)

    def mine():
        parts, _ = ours(a, "--mmproj", clip)
        prompt, _ = ours(a, "-m", text, "-p", 576, "-n", 1)
        whole, rss = our_process(a, "ask", "-m", text, "--mmproj", clip, "--no-cache", "--raw", "--temp", 0, "-n", 32, "--image", small,
                                 "USER: <__media__>What is it?\nASSISTANT:")
        return {"picture": parts["image"], "pp576": prompt["pp576"], **whole}, rss
    got = pairs(a, mine, lambda: mtmd(a, text, clip, small, 32, 576))
    yield from rows("CLIP-L/14-336", "F16/Q4_0", peer, got, (("picture", "pictures/s", a.limits["float_ops"] / CLIP_L_OPS),
                                                              ("pp576", "tok/s", a.limits["integer_ops"] / 2.07e9), ("whole process", "runs/s", None)))

    def tile():
        parts, rss = ours(a, "--mmproj", siglip)
        return {"picture": parts["image"]}, rss
    got = pairs(a, tile, lambda: mtmd(a, text, siglip, large, 1))
    yield from rows("SigLIP-B/16-512", "F16", peer, got, (("picture", "pictures/s", a.limits["float_ops"] / SIGLIP_B_OPS),))


def speech_rows(a):
    for name, ops in (("tiny.en", TINY_EN_OPS), ("base", BASE_OPS)):
        model, folder, ggml = a.home / f"models/whisper-{name}.gguf", a.home / f"peers/ct2-{name}", a.peers / f"ggml-{name}.bin"
        peers = [(f"faster-whisper {p}", lambda p=p: faster_whisper(a, folder, p)) for p in ("float32", "int8") if folder.exists()]
        built = "whisper.cpp-avx2-build" if a.isa else "whisper.cpp-build"
        if (a.peers / built / "bin/whisper-cli").exists():
            peers.append(("whisper.cpp", lambda: whisper_cpp(a, built, ggml)))
        if not peers:
            print(f"(Whisper {name}: no peer is there; tools/models/fetch.sh peers brings faster-whisper's files)", file=sys.stderr)

        def mine():
            parts, rss = ours(a, "--whisper", model)
            whole, _ = our_process(a, "transcribe", "--whisper", model, a.sample)
            return {**parts, "11 s sample": whole["whole process"]}, rss
        for peer, theirs in peers:
            tests = [("window", "windows/s", a.limits["float_ops"] / ops), ("decode", "tok/s", None), ("11 s sample", "runs/s", None)]
            if peer == "whisper.cpp":
                del tests[1]  # it does not say the rate of a long decoding
            yield from rows(f"Whisper {name}", "F16", peer, pairs(a, mine, theirs), tests)


def batch_rows(a):
    """Files one at a time and four at once: the second is called ours."""
    text, eyes = a.made / "llama-1b-q4_0.gguf", a.made / "clip-l-336-mmproj.gguf"
    sounds, pages = [ROOT / "samples" / n for n in ("jfk.wav", "newuser.flac", "queue.ogg", "pages.mp4")], sorted((ROOT / "tests/golden/sketches").glob("*.png"))[:16]
    photos = [ROOT / "samples" / n for n in ("cat.png", "coffee.png", "palace.jpg", "rocket.jpg", "sign.png", "sketch-cafe.jpg", "sketch-jokes.jpg")]
    asked = ("-m", text, "--mmproj", eyes, "--no-cache", "--chat-template", "vicuna", "--system", "", "--temp", 0, "--task", "describe", "-p", "What is it?")
    for work, files, args in (("describe, page reader", pages, ("--task", "describe")), ("describe, CLIP-L + 1.1B, 64", photos, (*asked, "-n", 64)),
                              ("describe, CLIP-L + 1.1B, 128", photos, (*asked, "-n", 128)),
                              ("transcribe, tiny.en", sounds, ("--task", "transcribe", "--whisper", a.home / "models/whisper-tiny.en.gguf")),
                              ("ask, tiny.en + 135M", sounds, ("--task", "ask", "-p", "What is said?", "-n", 64, "--whisper", a.home / "models/whisper-tiny.en.gguf"))):
        def at_once(n):
            _, rss, seconds = run(a, senses(a, "batch", "--parallel", n, *args, *files))
            return {"--parallel 4": 60 * len(files) / seconds}, rss
        yield from rows(work, "", "--parallel 1", pairs(a, lambda: at_once(4), lambda: at_once(1)), (("--parallel 4", "files/min", None),))


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


PARTS = {"text": text_rows, "vision": vision_rows, "speech": speech_rows, "batch": batch_rows}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--home", type=Path, required=True)
    ap.add_argument("--senses", required=True)
    ap.add_argument("--pairs", type=int, default=5)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--isa", choices=("avx2",), help="both sides with AVX2 alone")
    ap.add_argument("--only", choices=PARTS)
    ap.add_argument("--json", type=Path)
    a = ap.parse_args()
    a.peers, a.made, a.sample = a.home / "peers", a.home / "peers/models", ROOT / "samples/jfk.wav"
    a.llama = a.peers / ("llama.cpp-avx2-build" if a.isa else "llama.cpp-build") / "bin"
    a.limits = json.loads(run(a, [a.peers / "limits", a.threads, *([a.isa] if a.isa else [])])[0])
    print(f"{cpu_name()}, {a.threads} threads{', AVX2 alone' if a.isa else ''}, {a.pairs} pairs; medians; ratio = ours / peer: min, median, max")
    print(f"limits: {a.limits['read_bytes'] / 1e9:.1f} GB/s read, {a.limits['float_ops'] / 1e9:.0f} GFLOP/s ({a.limits['float']}), "
          f"{a.limits['integer_ops'] / 1e9:.0f} GOP/s 8-bit ({a.limits['integer']})")
    print(HEAD)
    done = []
    for part, make in PARTS.items():
        if a.only in (None, part):
            for r in make(a):
                show(r)
                done.append(r)
    if a.json:
        a.json.write_text(json.dumps(done, indent=1))


if __name__ == "__main__":
    main()
