#!/usr/bin/env bash
# `make demo`: the main job on the files in samples/, each command shown as one would type it, with its answer and its time.
set -uo pipefail
cd "$(dirname "$0")/.."
bold= plain=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; fi

show() { # TITLE COMMAND...
    local title=$1 start end
    shift
    printf '\n%s%s%s\n$ ' "$bold" "$title" "$plain"
    printf '%s ' "${@@Q}" | sed "s/'\([A-Za-z0-9_.,=/:-]*\)'/\1/g"
    printf '\n'
    start=$(date +%s%N)
    "$@" || { printf 'demo: this command failed\n' >&2; exit 1; }
    end=$(date +%s%N)
    printf '(%d.%02d s)\n' $(((end - start) / 1000000000)) $(((end - start) / 10000000 % 100))
}

printf '%ssenses: speech and pictures into a Llama, on this computer alone.%s\n' "$bold" "$plain"
show 'What is said in samples/jfk.wav?' ./senses transcribe -q samples/jfk.wav
show 'The same as subtitles' ./senses transcribe -q -f srt samples/jfk.wav
show 'A question about a recording' ./senses ask -q --temp 0 -n 48 --audio samples/jfk.wav 'Who should ask what they can do for their country?'
show 'A question about a text' ./senses ask -q --temp 0 -n 48 --text samples/LICENCES.md 'Which file comes from LibriVox?'
printf '\nPictures: give a model pair that you have, for example\n'
printf '  ./senses describe -m SmolVLM-256M-Instruct-Q8_0.gguf --mmproj mmproj-SmolVLM-256M-Instruct-f16.gguf samples/cat.png\n'
