#!/usr/bin/env bash
# `make demo`: the main job on the files in samples/. Each command is shown as one would type it, then what it says, then its time.
set -uo pipefail
cd "$(dirname "$0")/.."
bold= dim= plain=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; fi

words() { # the command line, quoted only where a shell needs it
    local out= word
    for word; do
        case $word in
        '' | *[!A-Za-z0-9_.,=/:-]*) out+=" '${word//\'/\'\\\'\'}'" ;;
        *) out+=" $word" ;;
        esac
    done
    printf '%s' "${out# }"
}

show() { # TITLE COMMAND...
    local title=$1 ms status
    shift
    printf '\n%s%s%s\n  $ %s\n' "$bold" "$title" "$plain" "$(words "$@")"
    ms=$(date +%s%3N)
    "$@" | sed 's/^./    &/'
    status=${PIPESTATUS[0]}
    ms=$(($(date +%s%3N) - ms))
    [ "$status" -eq 0 ] || { printf 'demo: this command failed (exit code %d)\n' "$status" >&2; exit 1; }
    printf '  %s(%d.%d s with opening the model)%s\n' "$dim" $((ms / 1000)) $((ms / 100 % 10)) "$plain"
}

printf '%ssenses: speech and pictures into a Llama, on this computer alone.%s\n' "$bold" "$plain"
printf 'Lines with $ are commands that you can type here, too; below each is its answer.\n'
show 'What is said in samples/jfk.wav? (11 seconds of President Kennedy, written down by Whisper tiny.en)' \
    ./senses transcribe -q samples/jfk.wav
show 'A telephone announcement, samples/queue.ogg, as subtitles' ./senses transcribe -q -f srt samples/queue.ogg
show "A question about samples/testpattern.mp4: a video, of which the sound is heard and given to SmolLM2-135M to read" \
    ./senses ask -q --temp 0 -n 32 --system 'You are a helpful assistant.' --audio samples/testpattern.mp4 \
    'How many bars does the test pattern have?'
show 'A question alone (so small a text model knows little: bring a larger one with -m)' \
    ./senses ask -q --temp 0 -n 32 --system 'You are a helpful assistant.' 'What is the capital of France?'
if [ -e models/sketch.gguf ]; then
    mkdir -p build
    show 'A drawing becomes a website: samples/sketch-jokes.jpg as build/jokes.html, to open in any browser' \
        ./senses sketch -q --style sketchy -o build/jokes.html samples/sketch-jokes.jpg
    show 'What stands on another drawing, samples/sketch-cafe.jpg, in words' ./senses describe -q samples/sketch-cafe.jpg
    show 'A question about it: these words are given to SmolLM2-135M' \
        ./senses ask -q -n 32 --image samples/sketch-cafe.jpg 'What does the button say?'
fi
cat <<END

${bold}Photographs${plain} need a larger model that sees: a GGUF of its text part and an mmproj of its eyes, such as SmolVLM's or LLaVA's. Bring one, then:
  \$ ./senses describe -m SmolVLM-256M-Instruct-Q8_0.gguf --mmproj mmproj-SmolVLM-256M-Instruct-f16.gguf samples/cat.png

Next: ./senses --help, and the README. The sound files' sources: samples/LICENCES.md.
END
