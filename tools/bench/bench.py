"""Ours and theirs in turn (A B A B ...), on the same file, with the same threads; one table. Run by bench.sh.

Each figure is a rate (more is better). The ratio is ours / peer, taken pair by pair, so that it holds when the machine's speed drifts.
Peak memory is the largest resident set of the whole process, as the system accounts it."""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run(args):
    """Runs a command; its standard output and its peak resident set in MiB."""
    with tempfile.TemporaryFile() as out:
        p = subprocess.Popen([str(a) for a in args], stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode()
    if p.returncode:
        raise SystemExit(f"bench: {args[0]} failed ({p.returncode}): {' '.join(map(str, args))}")
    return text, usage.ru_maxrss / 1024


def ours(a, *args):
    text, rss = run([a.senses, "bench", "--json", "-q", "-t", a.threads, "-r", 1, *args])
    return {r["test"]: r["per_s"] for r in map(json.loads, text.splitlines())}, rss


def llama_bench(a, model, n_prompt, n_gen):
    text, rss = run([a.peers / "llama.cpp-build/bin/llama-bench", "-m", model, "-t", a.threads, "-p", n_prompt, "-n", n_gen, "-r", 1, "-o", "json"])
    return {f"pp{r['n_prompt']}" if r["n_prompt"] else f"tg{r['n_gen']}": r["avg_ts"] for r in json.loads(text)}, rss


def faster_whisper(a, folder, precision):
    text, rss = run([sys.executable, HERE / "peer_faster_whisper.py", folder, precision, a.threads, a.sample])
    return json.loads(text), rss


def pairs(a, mine, theirs):
    """Runs both in turn, one uncounted pair first; a list of (ours, peer) results."""
    got = []
    for i in range(a.pairs + 1):
        got.append((mine(), theirs()))
        print(f"\r  pair {i} of {a.pairs}  ", end="", file=sys.stderr, flush=True)
    print("\r" + " " * 30 + "\r", end="", file=sys.stderr)
    return got[1:]


def rows(work, weights, peer, got, tests):
    for test, unit in tests:
        x, y = [m[0][test] for m, _ in got], [t[0][test] for _, t in got]
        ratio = sorted(p / q for p, q in zip(x, y))
        yield dict(work=f"{work} {test}", weights=weights, unit=unit, ours=statistics.median(x), peer_name=peer, peer=statistics.median(y),
                   ratio_min=ratio[0], ratio=statistics.median(ratio), ratio_max=ratio[-1],
                   mib=max(m[1] for m, _ in got), peer_mib=max(t[1] for _, t in got))


def show(r):
    print(f"{r['work']:26s} {r['weights']:9s} {r['ours']:9.1f} {r['peer']:9.1f} {r['unit']:8s} {r['ratio_min']:5.2f} {r['ratio']:6.2f} {r['ratio_max']:5.2f}"
          f" {r['mib']:7.0f} {r['peer_mib']:7.0f}  {r['peer_name']}", flush=True)


def text_rows(a):
    for name in ("q4_1", "q8_0"):
        model = a.home / f"models/smollm2-135m-instruct-{name}.gguf"
        got = pairs(a, lambda: ours(a, "-m", model, "-p", 512, "-n", 128), lambda: llama_bench(a, model, 512, 128))
        yield from rows("SmolLM2-135M", name.upper(), "llama.cpp", got, (("pp512", "tok/s"), ("tg128", "tok/s")))


def speech_rows(a):
    for name in ("tiny.en", "base"):
        model, folder = a.home / f"models/whisper-{name}.gguf", a.home / f"peers/ct2-{name}"
        if not folder.exists():
            print(f"(faster-whisper: {folder} is missing: run tools/models/fetch.sh peers)", file=sys.stderr)
            continue
        for precision in ("float32", "int8"):
            got = pairs(a, lambda: ours(a, "--whisper", model), lambda: faster_whisper(a, folder, precision))
            yield from rows(f"Whisper {name}", "F16", f"faster-whisper {precision}", got, (("window", "windows/s"), ("decode", "tok/s")))


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--home", type=Path, required=True)
    ap.add_argument("--senses", required=True)
    ap.add_argument("--pairs", type=int, default=5)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--only", choices=("text", "speech"))
    ap.add_argument("--json", type=Path)
    a = ap.parse_args()
    a.peers, a.sample = a.home / "peers", HERE.parent.parent / "samples/jfk.wav"
    print(f"{cpu_name()}, {a.threads} threads, {a.pairs} pairs; medians; ratio = ours / peer: min, median, max")
    print(f"{'work':26s} {'weights':9s} {'ours':>9s} {'peer':>9s} {'unit':8s} {'min':>5s} {'ratio':>6s} {'max':>5s} {'MiB':>7s} {'peer':>7s}  peer")
    done = []
    for part, make in (("text", text_rows), ("speech", speech_rows)):
        if a.only in (None, part):
            for r in make(a):
                show(r)
                done.append(r)
    if a.json:
        a.json.write_text(json.dumps(done, indent=1))


if __name__ == "__main__":
    main()
