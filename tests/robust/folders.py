#!/usr/bin/env python3
"""Folders of Hugging Face and CTranslate2 with one thing of one file changed, through convert: each is refused with one line, and no output is
left, or what is written can be opened. And chat templates in a model, through ask. Prints "ok NAME" or "FAIL NAME".

    folders.py [--all | --count N] [PATTERN]      SENSES, BUILD, SENSES_SLOW as of run.py; N of each file; --all: every mutation
"""
import argparse
import json
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mutate  # noqa: E402
import mutate_folder  # noqa: E402
import run  # noqa: E402

CHECKED = 10  # of each file, for make test
NO_FAULT = "the prompt needs|not supported|not known|not computed|no such tensor"  # what other programs may have code for
FOUND = ("image_std.0-0", "added_tokens_decoder-a-list", "model.vocab-a-list", "all-a-list", "rms_norm_eps-0.5")
NOT_OURS = ("expected.txt",)
CHAT = "text/llama_smollm.gguf"


def folders():
    """(path, what convert is told, the kind of each output)"""
    for name in sorted(os.listdir(run.GOLDEN + "/convert")):
        yield "convert/" + name, ["-o", "out.gguf"], {"out.gguf": "text"}
    for name in sorted(os.listdir(run.GOLDEN + "/convert_encoders")):
        yield "convert_encoders/" + name, ["--mmproj", "out-encoder.gguf"], {"out-encoder.gguf": "encoder"}
    for name in ("whisper_tiny_f16", "whisper_tiny_int8"):
        yield "audio/" + name, ["-o", "out.gguf"], {"out.gguf": "whisper"}


def some(items, count):
    """So many of them, evenly, and those that broke something once; all, where count is None."""
    items = list(items)
    if count is None or len(items) <= count:
        return items
    chosen = {i * len(items) // count for i in range(count)} | {i for i, item in enumerate(items) if item[0] in FOUND}
    return [items[i] for i in sorted(chosen)]


def one_change(folder, args, outputs, verdict, opener, opened):
    """What is wrong with converting it, or None."""
    status, err, kilobytes, _ = run.run(["convert", "-q", "model", *args], folder)
    wrong = run.problem(status, err, kilobytes, "model", verdict)
    for out, kind in outputs.items():
        path = os.path.join(folder, out)
        if status != 0:
            wrong = wrong or ("left an output" if os.path.exists(path) else None)
        elif not wrong:
            said, wrong = opener.open(kind, path)
            opened["refused" if said.startswith("refused") else "opened"] += 1
            if not wrong and said != "ok\n" and not re.search(NO_FAULT, said):
                wrong = f"was written, and is refused when it is opened: {said[:300]}"
    for left in os.listdir(folder):
        if left.startswith("out"):
            os.unlink(os.path.join(folder, left))
        elif left not in ("model", "err"):
            wrong = wrong or f"left {left}"
            os.unlink(os.path.join(folder, left))
    return wrong


def check_folder(name, args, outputs, count):
    source, bad, n, opened = os.path.join(run.GOLDEN, name), 0, 0, {"opened": 0, "refused": 0}
    opener = run.Opener()
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        shutil.copytree(source, model, ignore=shutil.ignore_patterns(*NOT_OURS))
        for file in sorted(os.listdir(model)):
            with open(os.path.join(source, file), "rb") as f:
                data = f.read()
            for what, changed, verdict in some(mutate_folder.of_file(file, data), count):
                with open(os.path.join(model, file), "wb") as f:
                    f.write(changed)
                optional = file not in ("config.json", "model.bin") and not file.endswith(".safetensors")
                wrong = one_change(folder, args, outputs, "any" if optional and verdict == "refuse" else verdict, opener, opened)
                n += 1
                if wrong:
                    bad += 1
                    print(f"  {name}/{file}: {what}: {wrong}", flush=True)
            with open(os.path.join(model, file), "wb") as f:
                f.write(data)
    opener.close()
    print(f"{'FAIL' if bad else 'ok'} robust folder {name}: {n} changes, {opened['opened']} opened" + (f", {bad} wrong" if bad else ""), flush=True)
    return bad == 0


def templates():
    """Some of the collection that the tests of chat templates hold: short ones, long ones."""
    with open(run.GOLDEN + "/text/jinja.json") as f:
        texts = sorted({t["template"] for t in json.load(f)["templates"]}, key=len)
    return [texts[i * (len(texts) - 1) // 5] for i in range(6)]


def check_templates(count):
    g = mutate.Gguf(open(os.path.join(run.GOLDEN, CHAT), "rb").read())
    keys = [k for k in g.keys if k[0] != b"tokenizer.chat_template"]
    n = bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for i, text in enumerate(templates()):
            for what, changed in some(mutate_folder.of_template(text), count):
                key = (b"tokenizer.chat_template", mutate.STRING, mutate.pack_string(changed.encode("utf-8", "surrogatepass")))
                with open(os.path.join(folder, "model.gguf"), "wb") as f:
                    f.write(mutate.write_gguf(g, keys=keys + [key]))
                status, err, kilobytes, _ = run.run(["ask", "-n", "1", "-m", "model.gguf", "hi"], folder)
                wrong = run.problem(status, err, kilobytes, "model.gguf", "any")
                n += 1
                if wrong:
                    bad += 1
                    print(f"  template {i}: {what}: {wrong}", flush=True)
    print(f"{'FAIL' if bad else 'ok'} robust templates: {n} changes" + (f", {bad} wrong" if bad else ""), flush=True)
    return bad == 0


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--all", action="store_true")
    p.add_argument("--count", type=int, default=CHECKED)
    p.add_argument("pattern", nargs="?", default="")
    a = p.parse_args()
    count = None if a.all else a.count
    good = True
    for name, args, outputs in folders():
        if a.pattern in name:
            good &= check_folder(name, args, outputs, count)
    if a.pattern in "templates":
        good &= check_templates(count)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
