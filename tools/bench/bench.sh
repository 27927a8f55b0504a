#!/usr/bin/env bash
# `make bench`: builds the peers where they are missing and runs bench.py, which runs ours and theirs in turn.
#   PEERS_DIR   a folder with further peers' sources (whisper.cpp, ik_llama.cpp); built below $SENSES_HOME/peers
#   PAIRS=5     pairs of runs a row     THREADS=2     ONLY=text|vision|speech|batch     JSON=FILE  also the raw figures
#   ISA=avx2    both sides with AVX2 alone
set -euo pipefail
cd "$(dirname "$0")/../.."
home=${SENSES_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/senses}
peers=$home/peers
mkdir -p "$peers"
say() { printf '%s\n' "$*" >&2; }
need() { command -v "$1" >/dev/null || { say "bench: $1 is missing: apt-get install $2"; exit 1; }; }
need cmake cmake
need g++ build-essential

# cmake_build NAME SOURCE FLAGS TARGETS...: into $peers/NAME-build
cmake_build() {
    local name=$1 source=$2 flags=$3
    shift 3
    say "building $name (once, some minutes)"
    cmake -S "$source" -B "$peers/$name-build" -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_SERVER=OFF \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF -DWHISPER_BUILD_TESTS=OFF $flags >"$peers/$name.log" 2>&1
    cmake --build "$peers/$name-build" -j "$(nproc)" --target "$@" >>"$peers/$name.log" 2>&1 || { tail -5 "$peers/$name.log" >&2; exit 1; }
}

# AVX2 for all; and what a CPU with AMX has besides AMX, where llama.cpp 0.3.36 crashes with Q4_0 and Q4_1.
AVX2="-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON"
NO_AMX=
if grep -q amx_tile /proc/cpuinfo; then
    NO_AMX="$AVX2 -DGGML_AVX512=ON -DGGML_AVX512_VBMI=ON -DGGML_AVX512_VNNI=ON -DGGML_AVX512_BF16=ON"
fi

build_peers() {
    if [ ! -d "$peers/llama.cpp/ggml" ]; then
        archive=$(tools/models/fetch.sh archive)
        mkdir -p "$peers/llama.cpp"
        tar -xzf "$archive" -C "$peers/llama.cpp" --strip-components=3 --wildcards '*/vendor/llama.cpp/*'
    fi
    [ -x "$peers/llama.cpp-build/bin/llama-mtmd-cli" ] || cmake_build llama.cpp "$peers/llama.cpp" "$NO_AMX" llama-bench llama-mtmd-cli
    if [ "${ISA:-}" = avx2 ] && [ ! -x "$peers/llama.cpp-avx2-build/bin/llama-mtmd-cli" ]; then
        cmake_build llama.cpp-avx2 "$peers/llama.cpp" "$AVX2" llama-bench llama-mtmd-cli
    fi
    local q8=$home/models/smollm2-135m-instruct-q8_0.gguf
    [ -s "$q8" ] || "${SENSES:-./senses}" quantize -q --allow-requantize "$home/models/smollm2-135m-instruct-q4_1.gguf" "$q8" Q8_0
    if [ -n "${PEERS_DIR:-}" ] && [ -d "$PEERS_DIR/whisper.cpp" ] && [ ! -x "$peers/whisper.cpp-build/bin/whisper-cli" ]; then
        cmake_build whisper.cpp "$PEERS_DIR/whisper.cpp" "" whisper-cli
    fi
    if [ -n "${PEERS_DIR:-}" ] && [ -d "$PEERS_DIR/whisper.cpp" ] && [ "${ISA:-}" = avx2 ] && [ ! -x "$peers/whisper.cpp-avx2-build/bin/whisper-cli" ]; then
        cmake_build whisper.cpp-avx2 "$PEERS_DIR/whisper.cpp" "$AVX2" whisper-cli
    fi
    if [ -n "${PEERS_DIR:-}" ] && [ -d "$PEERS_DIR/ik_llama.cpp" ] && [ ! -x "$peers/ik_llama.cpp-build/bin/llama-bench" ]; then
        cmake_build ik_llama.cpp "$PEERS_DIR/ik_llama.cpp" -DLLAMA_BUILD_EXAMPLES=ON llama-bench # is one of its examples
    fi
}
[ "${ONLY:-}" = batch ] || build_peers # a batch is measured against itself
if [ ! -x "$peers/venv/bin/python" ] || ! "$peers/venv/bin/python" -c 'import faster_whisper, gguf' 2>/dev/null; then
    say "installing faster-whisper and gguf (once)"
    python3 -m venv "$peers/venv"
    "$peers/venv/bin/pip" install --quiet --disable-pip-version-check faster-whisper==1.2.1 gguf==0.19.0
fi
"$peers/venv/bin/python" tools/bench/make_models.py "$peers/models" "${SENSES:-./senses}"
for name in tiny.en base; do
    [ -s "$peers/ggml-$name.bin" ] || "$peers/venv/bin/python" tools/bench/make_ggml_bin.py "$home/models/whisper-$name.gguf" "$peers/ggml-$name.bin"
done
${CC:-cc} -O2 -pthread -o "$peers/limits" tools/bench/limits.c
[ "${ONLY:-}" = batch ] || tools/models/fetch.sh peers
exec "$peers/venv/bin/python" tools/bench/bench.py --home "$home" --senses "${SENSES:-./senses}" --pairs "${PAIRS:-5}" \
    --threads "${THREADS:-2}" ${ISA:+--isa "$ISA"} ${ONLY:+--only "$ONLY"} ${JSON:+--json "$JSON"}
