#!/usr/bin/env python3
"""Nearly valid model files through the program: each ends with status 0, or with status 1 and one line that names the file; within seconds
and a GB of memory; never by a signal. Prints "ok NAME" or "FAIL NAME" with what was seen.

    run.py [PATTERN]           for make test: a few files of every kind through the commands, some more through tests/robust/open_models
    run.py --all [PATTERN]     all mutations, tens of thousands, through open_models: with sanitizers half an hour or so
    SENSES=./senses            the program;  BUILD=build: where open_models is
    SENSES_SLOW=N              so much longer may it take, and use so much more memory (10 with sanitizers)
"""
import argparse
import os
import re
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mutate  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOLDEN = os.path.join(ROOT, "tests", "golden")
SENSES = os.path.abspath(os.environ.get("SENSES", os.path.join(ROOT, "senses")))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(ROOT, "build")))
SLOW = int(os.environ.get("SENSES_SLOW", "1"))
SECONDS, MEMORY_KB = 5, 1 << 20
TEXT = GOLDEN + "/fusion/llava15_text.gguf"
PICTURE = GOLDEN + "/fusion/portrait.png"
SOUND = ROOT + "/samples/silence.wav"

# What is done with a file of each kind. The first command is done with every mutation, the others in turn.
ASK = [["ask", "-n", "2", "--raw", "-m", "FILE", "hi"], ["info", "FILE"], ["tokenize", "-m", "FILE"],
       ["logits", "--raw", "-m", "FILE", "-o", "out.npy", "hi"], ["bench", "-m", "FILE", "-p", "2", "-n", "2", "-r", "1"],
       ["ask", "-n", "2", "-m", "FILE", "--temp", "1", "hi"], ["quantize", "--allow-requantize", "FILE", "out.gguf", "Q8_0"]]
SEE = [["encode", "--mmproj", "FILE", "--image", PICTURE, "-o", "out.npy"], ["info", "FILE"],
       ["describe", "-n", "1", "-m", TEXT, "--mmproj", "FILE", PICTURE]]
HEAR = [["encode", "--mmproj", "FILE", "--audio", SOUND, "-o", "out.npy"], ["info", "FILE"]]
SPEAK = [["transcribe", "--whisper", "FILE", SOUND], ["info", "FILE"]]
ADAPT = [["ask", "-n", "1", "--raw", "-m", GOLDEN + "/text/llama_smollm.gguf", "--lora", "FILE", "hi"], ["info", "FILE"]]
MODELS = {
    "text": ("text/llama_linear.gguf", ASK), "text-qwen3": ("text/llama_qwen3.gguf", ASK), "text-gemma3": ("text/llama_gemma3.gguf", ASK),
    "text-qwen2vl": ("text/llama_qwen2vl.gguf", ASK), "text-qwen3vl": ("text/llama_qwen3vl.gguf", ASK), "text-granite": ("text/llama_granite.gguf", ASK),
    "text-smollm3": ("text/llama_smollm3.gguf", ASK), "text-mistral3": ("text/llama_mistral3.gguf", ASK),
    "text-qwen2": ("text/llama_qwen2.gguf", ASK), "text-llama3": ("text/llama_llama3.gguf", ASK),
    "llava": ("vision/llava15.gguf", SEE), "llavanext": ("vision/llavanext.gguf", SEE), "internvl": ("vision/internvl.gguf", SEE),
    "gemma3": ("vision/gemma3.gguf", SEE), "qwen2vl": ("vision/qwen2vl.gguf", SEE), "qwen25vl": ("vision/qwen25vl.gguf", SEE),
    "qwen3vl": ("vision/qwen3vl.gguf", SEE),
    "granite-vision": ("vision/granite_vision.gguf", SEE), "mobilevlm": ("vision/mobilevlm.gguf", SEE),
    "mobilevlm-v2": ("vision/mobilevlm_v2.gguf", SEE), "llava-siglip": ("vision/llava_siglip.gguf", SEE),
    "llavanext-siglip": ("vision/llavanext_siglip.gguf", SEE),
    "pixtral": ("vision/pixtral.gguf", SEE), "mistral3": ("vision/mistral3.gguf", SEE), "smolvlm": ("vision/smolvlm.gguf", SEE),
    "page": ("page/sketch-mmproj.gguf", SEE), "ultravox": ("audio/front_ultravox.gguf", HEAR),
    "voxtral": ("audio/front_voxtral.gguf", HEAR), "qwen2audio": ("audio/front_qwen2audio.gguf", HEAR),
    "lora": ("text/lora_smollm_b.gguf", ADAPT), "lora-embedding": ("text/lora_smollm_a.gguf", ADAPT), "whisper": (None, SPEAK), "whisper-bin": (None, SPEAK),
}
COMMAND_RUNS = {"text": 24, "llava": 16, "ultravox": 8, "whisper": 12, "whisper-bin": 12, "lora": 8}  # of the others, 4
OPENED = 60  # of each kind, for make test


def limits():
    if SLOW == 1:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(command, folder):
    """(status, standard error, kilobytes, seconds); status None: it did not end."""
    env = dict(os.environ, SENSES_HOME="/nonexistent", XDG_CACHE_HOME="/dev/null")
    with open(os.path.join(folder, "err"), "w+b") as err, open(__file__, "rb") as text:
        start = time.monotonic()
        p = subprocess.Popen([SENSES] + command, cwd=folder, env=env, stdin=text if command[0] == "tokenize" else subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err, preexec_fn=limits)
        deadline = start + 4 * SECONDS * SLOW  # of a busy machine; the processor's time is limited besides
        while True:
            pid, status, usage = os.wait4(p.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                p.kill()
                os.wait4(p.pid, 0)
                p.returncode = -9
                return None, "", 0, time.monotonic() - start
            time.sleep(0.002)
        p.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        return p.returncode, err.read().decode("utf-8", "backslashreplace"), usage.ru_maxrss, time.monotonic() - start


def problem(status, err, kilobytes, file, verdict):
    """What is wrong with how it ended, or None."""
    if status is None:
        return "did not end in time"
    if status not in (0, 1):
        return f"status {status}: {err[-1500:]}"
    if kilobytes > MEMORY_KB * (4 if SLOW > 1 else 1):
        return f"took {kilobytes >> 10} MB"
    if status == 1:
        lines = err.splitlines()
        if len(lines) != 1 or not lines[0].startswith("senses: ") or not err.endswith("\n"):
            return f"not one line: {err[:1500]}"
        if file not in err and "the prompt needs" not in err:  # a context of 1 is a poor model, but one
            return f"does not name the file: {err[:300]}"
        if re.search(r"[\x00-\x09\x0b-\x1f\x7f]", err):
            return f"has control characters: {err[:300]!r}"
    if verdict == "refuse" and status == 0:
        return "was taken for good"
    if verdict == "accept" and status == 1:
        return f"was refused: {err[:300]}"
    return None


def original(name, path, folder):
    if path is not None:
        return os.path.join(GOLDEN, path)
    out = os.path.join(folder, "original-" + name)
    if name == "whisper":
        subprocess.run([SENSES, "convert", "-q", GOLDEN + "/audio/whisper_tiny_f16", "-o", out], check=True)
    else:
        subprocess.run([os.path.join(BUILD, "tests", "whisper_bin_main"), out], check=True)
    return out


def check_commands(name, data, commands, count, folder):
    """Through the program, a process each: what a user sees."""
    file, n, bad = "mutated.model", 0, 0
    for i, (what, changed, verdict) in enumerate(mutate.spread(data, count)):
        with open(os.path.join(folder, file), "wb") as f:
            f.write(changed)
        for command in (commands[0], commands[1 + i % (len(commands) - 1)]):
            status, err, kilobytes, _ = run([file if a == "FILE" else a for a in command], folder)
            # What a command does not look at it need not refuse.
            wrong = problem(status, err, kilobytes, file, verdict if command is commands[0] else "any")
            n += 1
            if wrong:
                bad += 1
                print(f"  {what}: senses {' '.join(command)}: {wrong}", flush=True)
                shutil.copy(os.path.join(folder, file), os.path.join(BUILD, f"robust-{name}-{bad}"))
    print(f"{'FAIL' if bad else 'ok'} robust commands {name}: {n} runs" + (f", {bad} wrong" if bad else ""), flush=True)
    return bad == 0


class Opener:
    """One process that opens one file after another; another one where it has ended."""

    def __init__(self):
        self.process = None

    def open(self, kind, path):
        """(what it said, problem or None)"""
        if self.process is None:
            self.process = subprocess.Popen([os.path.join(BUILD, "tests", "robust", "open_models")], cwd=ROOT, stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.process.stdin.write(f"{kind} {path}\n".encode())
        self.process.stdin.flush()
        ready = select.select([self.process.stdout], [], [], 4 * SECONDS * SLOW)[0]
        said = self.process.stdout.readline().decode("utf-8", "backslashreplace") if ready else ""
        if said:
            return said, None
        self.process.kill()
        end = self.process.communicate()[1].decode("utf-8", "replace")
        status = self.process.returncode
        self.process = None
        return "", f"ended with {status}: {end[:3000]}" if ready else "did not end in time"

    def close(self):
        """How much memory it took at most, in KB."""
        if self.process is None:
            return 0
        self.process.stdin.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = status
        return usage.ru_maxrss


def check_opening(name, data, kind, count, folder):
    """In one process: opened and used a little."""
    opener, path, n, bad = Opener(), os.path.join(folder, "mutated.model"), 0, 0
    for what, changed, verdict in mutate.spread(data, count):
        with open(path, "wb") as f:
            f.write(changed)
        said, wrong = opener.open(kind, path)
        if not wrong and said == "ok\n" and verdict == "refuse":
            wrong = "was taken for good"
        small = said.startswith("refused the prompt needs")  # a context of 1 is a poor model, but one
        if not wrong and said != "ok\n" and not small and (verdict == "accept" or path not in said):
            wrong = said
        n += 1
        if wrong:
            bad += 1
            print(f"  {what}: {wrong}", flush=True)
            shutil.copy(path, os.path.join(BUILD, f"robust-{name}-{bad}"))
    kilobytes = opener.close()
    if kilobytes > MEMORY_KB * (4 if SLOW > 1 else 1):
        bad += 1
        print(f"  took {kilobytes >> 10} MB")
    print(f"{'FAIL' if bad else 'ok'} robust {name}: {n} files" + (f", {bad} wrong" if bad else ""), flush=True)
    return bad == 0


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--all", action="store_true")
    p.add_argument("pattern", nargs="?", default="")
    a = p.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for name, (path, commands) in MODELS.items():
            if a.pattern in name:
                data = open(original(name, path, folder), "rb").read()
                kind = {id(ASK): "text", id(SPEAK): "whisper", id(ADAPT): "lora"}.get(id(commands), "encoder")
                good &= check_opening(name, data, kind, None if a.all else OPENED, folder)
                good &= a.all or check_commands(name, data, commands, COMMAND_RUNS.get(name, 4), folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
