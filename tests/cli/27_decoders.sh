# A decoder that dies or hangs: the real one, in its process, by a signal from here while it decodes.

# while_decoding SIGNAL ARG...: runs the program, and sends the signal to the process that it decodes in; again where that was too quick.
while_decoding() {
    local signal=$1 child= program
    shift
    said=$*
    for try in 1 2 3 4 5; do
        ASAN_OPTIONS=handle_segv=0:handle_abort=0:${ASAN_OPTIONS:-} "$SENSES" "$@" </dev/null >out 2>err &
        program=$!
        while [ -d /proc/$program ] && [ -z "$child" ]; do read -r _ child <<<"$(cat /proc/$program/task/$program/children 2>/dev/null)"; done # the first is the nursery
        [ -n "$child" ] && kill -"$signal" $child 2>/dev/null
        wait $program
        status=$?
        grep -q 'the decoder \(crashed\|was stopped\)' err && return # not met before it had begun
        child=
    done
    wrong "no decoder was met while it worked"
}
# A picture of 49 million pixels, and ten minutes of silence: long enough to be met.
large_picture() {
    python3 -c 'import struct, sys, zlib
chunk = lambda t, d: struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
c = zlib.compressobj(1)
rows = b"".join(c.compress(bytes(1 + 3 * 7000)) for _ in range(7000)) + c.flush()
sys.stdout.buffer.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 7000, 7000, 8, 2, 0, 0, 0)) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))' >"$1"
}
long_sound() { { printf 'RIFF\x24\xf8\x24\x01WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\0\xf8\x24\x01'; head -c 19200000 /dev/zero; } >"$1"; }

claim_a_decoder_that_crashes_is_one_line() {
    needs "$TINY_MMPROJ"; tiny_whisper; large_picture big.png; long_sound long.wav
    while_decoding SEGV encode --mmproj "$TINY_MMPROJ" -o out.npy --image big.png; failed_with_one_line; err_has "big.png: the decoder crashed (signal 11)"
    [ ! -e out.npy ] || wrong "out.npy was left"
    while_decoding ABRT transcribe --whisper ./tiny-whisper.gguf -o out.txt long.wav; failed_with_one_line; err_has "long.wav: the decoder crashed (signal 6)"
    [ ! -e out.txt ] || wrong "out.txt was left"
    while_decoding KILL encode --mmproj "$TINY_AUDIO" -o out.npy --audio long.wav; failed_with_one_line; err_has "long.wav: the decoder"
}
claim_a_batch_goes_on_past_a_decoder_that_crashes() {
    tiny_reader; tiny_whisper; mkdir in; large_picture in/a.png; cp "$PAGE" in/b.png; cp "$SAMPLES/silence.wav" in/c.wav
    while_decoding SEGV batch -t 1 --whisper ./tiny-whisper.gguf in; is 3
    [ "$(wc -l <out)" = 3 ] || wrong "$(wc -l <out) records"
    sed -n 1p out >first; json_lines first file error seconds; grep -q 'in/a.png: the decoder crashed (signal 11)' first || wrong "another error"
    sed 1d out | grep -q '"error"' && wrong "others failed"
    err_has "senses: in/a.png: the decoder crashed (signal 11)"; err_has "2 done, 1 failed"
}
claim_a_batch_goes_on_past_a_decoder_that_hangs() {
    local patience=$((5 * ${SENSES_SLOW:-1}))
    tiny_reader; tiny_whisper; mkdir in; long_sound in/a.wav; cp "$PAGE" in/b.png
    while_decoding STOP batch -t 1 --timeout "$patience" --whisper ./tiny-whisper.gguf in; is 3
    [ "$(wc -l <out)" = 2 ] || wrong "$(wc -l <out) records"
    err_has "senses: in/a.wav: the decoder was stopped: it gave nothing for $patience s"; err_has "1 done, 1 failed"
    sed -n 1p out | grep -q '"error":"in/a.wav: the decoder was stopped' || wrong "the record has another error"
}
