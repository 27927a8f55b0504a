# lib.sh: what the cases of tests/cli have in common. A case runs in an empty folder; $ROOT is the repository.
GOLDEN=$ROOT/tests/golden
SAMPLES=$ROOT/samples
case_status=0 status= said=

# Says what is wrong; the case goes on, and has failed.
wrong() {
    printf '%s\n' "$*"
    printf 'after: senses %s\n' "$said"
    sed 's/^/err: /' err 2>/dev/null | head -4
    case_status=1
}
skip() { printf '%s\n' "$*"; exit 77; }

# run ARG...: the program with these arguments; its status in $status, its output in the files out and err.
# Standard input is empty unless `stdin` names a file. One thread: the cases are many and small.
stdin=/dev/null
run() {
    said=$*
    "$SENSES" "$@" <"$stdin" >out 2>err
    status=$?
}

is() { [ "$status" = "$1" ] || wrong "exit status $status, wanted $1"; }
out_is() { [ "$(cat out)" = "$1" ] || wrong "standard output is '$(head -c 300 out)', wanted '$1'"; }
out_has() { grep -q -F -e "$1" out || wrong "standard output has no '$1'"; }
out_lacks() { ! grep -q -F -e "$1" out || wrong "standard output has '$1'"; }
out_empty() { [ ! -s out ] || wrong "standard output is not empty: $(head -c 200 out)"; }
err_has() { grep -q -F -e "$1" err || wrong "standard error has no '$1'"; }
err_empty() { [ ! -s err ] || wrong "standard error is not empty"; }

# The contract's form of an error: status 1, one line "senses: ...", nothing else on standard error.
failed_with_one_line() {
    is 1
    [ "$(wc -l <err)" -eq 1 ] || wrong "$(wc -l <err) lines on standard error, wanted 1"
    grep -q '^senses: ' err || wrong "the line does not begin with 'senses: '"
    LC_ALL=C grep -q '[[:cntrl:]]' err && wrong "the line has control characters"
    iconv -f UTF-8 -t UTF-8 err >/dev/null 2>&1 || wrong "the line is not UTF-8"
    [ "$(wc -c <err)" -le 4200 ] || wrong "the line has $(wc -c <err) bytes"
}
# Wrong usage: status 2, a line that says what, a line that says where help is, nothing on standard output.
wrong_usage() {
    is 2
    out_empty
    [ "$(wc -l <err)" -eq 2 ] || wrong "$(wc -l <err) lines on standard error, wanted 2"
    sed -n 1p err | grep -q '^senses: ' || wrong "the first line does not begin with 'senses: '"
    sed -n 2p err | grep -q "^Try 'senses .*'\.$" || wrong "the second line gives no hint"
}

# Every line of the file is one JSON object (array) with these members.
json_lines() { file=$1; shift; "$TMP/json" "$@" <"$file" || wrong "not as wanted: $(head -c 300 "$file")"; }

# Files: text models and encoders made by tests/golden/*.py, a Whisper too small to understand anything, and the real ones.
TINY=$GOLDEN/fusion/llava15_text.gguf
TINY_MMPROJ=$GOLDEN/fusion/llava15_mmproj.gguf
TINY_WIDE=$GOLDEN/fusion/smolvlm_text.gguf
TINY_AUDIO=$GOLDEN/audio/front_voxtral.gguf
# A page reader of random weights: it reads nonsense in PAGE, and sees no page in NO_PAGE.
PAGE=$GOLDEN/page/page.png NO_PAGE=$SAMPLES/cat.png
tiny_reader() { mkdir -p home/models; cp "$GOLDEN/page/sketch.gguf" "$GOLDEN/page/sketch-mmproj.gguf" home/models/; export SENSES_HOME=$PWD/home; }
needs() { for f; do [ -e "$f" ] || skip "needs $f"; done; }
needs_model() { for f; do [ -e "$MODELS/$f" ] || skip "needs the model $f (make models)"; done; SENSES_HOME=${MODELS%/models}; }
tiny_whisper() { # makes ./tiny-whisper.gguf
    "$SENSES" convert -q "$GOLDEN/audio/whisper_tiny_f16" -o tiny-whisper.gguf || wrong "the tiny Whisper is not converted"
}

# Bytes that are the same on every run and look like nothing.
noise() { for ((i = 0; i < $1; i += 32)); do echo "$i" | sha256sum; done | sed 's/ .*//; s/../\\x&/g' | tr -d '\n' | xargs -0 printf '%b' | head -c "$1"; }
# Files of the wrong kind for everything, into the present folder; their names in $bad.
make_bad_files() {
    : >empty
    mkdir folder
    noise 4096 >noise
    printf '<!DOCTYPE html><html><body>404 not found</body></html>\n' >page.html
    printf 'PK\003\004\024\000\000\000\010\000 not really an archive' >archive.zip
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n' >pointer
    printf '\377\330\377\340' >stump.jpg
    printf 'GGUF\003\000\000\000\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\177' >huge.gguf
    printf 'lmgg\377\377\377\177\377\377\377\177\377\377\377\177\377\377\377\177' >huge.bin
    printf 'RIFF\377\377\377\177WAVEfmt \020\000\000\000\001\000\377\377' >huge.wav
    head -c 3000 "$SAMPLES/sign.png" >cut.png
    head -c 3000 "$SAMPLES/jfk.wav" >cut.wav
    head -c 100000 "$TINY" >cut.gguf
    bad="missing empty folder noise page.html archive.zip pointer stump.jpg huge.gguf huge.bin huge.wav cut.png cut.wav cut.gguf"
}
