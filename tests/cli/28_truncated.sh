# Truncated media: refused, saying how much of them can be read; with --accept-truncated what is there is taken, with a warning and "partial".

# cut FILE OF TO: the first OF sixteenths of a file.
cut_to() { head -c $(($(wc -c <"$1") * $2 / 16)) "$1" >"$3"; }
# warned FILE HOW: one line of warning on standard error, and nothing else that names the file.
warned() { is 0; [ "$(grep -c "warning: truncated" err)" = 1 ] || wrong "not one warning"; grep -q "^senses: $1: warning: truncated: only $2 can be read\$" err || wrong "another warning than of $2"; }
# A film with its index in front, which a cut film needs.
web_film() {
    python3 - "$GOLDEN/video/cards.mp4" "$1" <<'P'
import struct, sys
d = open(sys.argv[1], "rb").read()
at, boxes = 0, {}
while at < len(d):
    n, kind = struct.unpack(">I4s", d[at:at + 8])
    boxes[kind], at = d[at:at + n], at + n
moov = bytearray(boxes[b"moov"])
k = moov.index(b"stco") + 8
for i in range(struct.unpack(">I", moov[k:k + 4])[0]):
    o = k + 4 + 4 * i
    moov[o:o + 4] = struct.pack(">I", struct.unpack(">I", moov[o:o + 4])[0] + len(moov))
open(sys.argv[2], "wb").write(boxes[b"ftyp"] + bytes(moov) + boxes[b"free"] + boxes[b"mdat"])
P
}

claim_a_truncated_picture_is_refused_or_taken_with_a_warning() {
    needs "$TINY" "$TINY_MMPROJ"; tiny_reader
    cut_to "$SAMPLES/palace.jpg" 12 cut.jpg; cut_to "$SAMPLES/sign.png" 12 cut.png; cut_to "$GOLDEN/vision/files/lossy.webp" 15 cut.webp
    for f in animated.gif rgb.bmp rle.tga p6.pnm lossy.webp progressive.jpg interlaced.png raw.tif film.mp4; do cut_to "$GOLDEN/vision/files/$f" 15 "cut-$f"; done
    see="--mmproj $TINY_MMPROJ -o out.npy --image"
    for f in cut.*; do
        run encode $see "$f"; failed_with_one_line; grep -q "^senses: $f: truncated: [0-9]* of [0-9]* rows can be read\$" err || wrong "not how much can be read"; [ ! -e out.npy ] || wrong "an output is left"
        run encode --accept-truncated $see "$f"; warned "$f" '[0-9]* of [0-9]* rows'; [ -s out.npy ] || wrong "no output"; rm -f out.npy
        run encode --accept-truncated --no-sandbox $see "$f"; is 0; err_has "truncated"; rm -f out.npy
    done
    for f in cut-*; do run encode $see "$f"; failed_with_one_line; err_has "$f: truncated: "; run encode --accept-truncated $see "$f"; warned "$f" '.*'; rm -f out.npy; done
    stdin=cut.png; run encode --accept-truncated $see -; warned "standard input" '[0-9]* of [0-9]* rows'; stdin=/dev/null
    run encode -q --accept-truncated $see "$SAMPLES/sign.png"; is 0; err_empty
    for f in rgb.psd still.heic 444.avif; do cut_to "$GOLDEN/vision/files/$f" 14 "none-$f"; run encode --accept-truncated $see "none-$f"; failed_with_one_line; err_has "cut short"; done
    head -c 20 "$SAMPLES/sign.png" >stump.png; run encode --accept-truncated $see stump.png; failed_with_one_line; err_has "stump.png: PNG: the file is cut short"
    for f in rgb.png rgb.bmp; do { head -c 60 "$GOLDEN/vision/files/$f"; noise 300; } >bad.png; run encode --accept-truncated $see bad.png; [ "$status" = 1 ] && failed_with_one_line; done # damage is no truncation
}
claim_every_command_takes_truncated_pictures_and_says_partial() {
    needs "$TINY" "$TINY_MMPROJ"; tiny_reader; cut_to "$SAMPLES/sign.png" 12 cut.png; cut_to "$PAGE" 14 page.png
    model="-m $TINY --mmproj $TINY_MMPROJ -n 4 --temp 0"
    run describe $model --json --accept-truncated cut.png "$SAMPLES/sign.png"; warned cut.png '[0-9]* of [0-9]* rows'
    [ "$("$TMP/json" --print partial <out | head -n 1)" = true ] || wrong "not marked"; [ "$(grep -c partial out)" = 1 ] || wrong "the whole one is marked as well"
    run describe $model --json cut.png; is 1; out_lacks partial; json_lines out error
    run ask $model --json --accept-truncated --image cut.png what; warned cut.png '.*'; json_lines out text partial
    run logits ${model% -n 4*} --accept-truncated --image cut.png --raw -o l.npy "what <__media__>"; warned cut.png '.*'; [ -s l.npy ] || wrong "no logits"
    printf '/image cut.png\nwhat?\nand?\n' >lines; stdin=lines; run chat $model --json --accept-truncated; warned cut.png '.*'; stdin=/dev/null; [ "$(grep -c partial out)" = 1 ] || wrong "not the first answer alone"
    run sketch --json --accept-truncated page.png; err_has "page.png: warning: truncated: only "
    run sketch page.png; failed_with_one_line; err_has "page.png: truncated: "
}
claim_a_truncated_sound_is_refused_or_heard_with_a_warning() {
    tiny_whisper; needs "$TINY_AUDIO"; hear="--mmproj $TINY_AUDIO -o out.npy --audio"
    for f in jfk.wav jfk.mp3 newuser.flac queue.ogg; do
        cut_to "$SAMPLES/$f" 10 "$f"; run encode $hear "$f"; failed_with_one_line; err_has "$f: is truncated: "
        run encode --accept-truncated $hear "$f"; warned "$f" '.*'; rm -f out.npy
        run transcribe --whisper ./tiny-whisper.gguf --json "$f"; is 1; out_lacks partial
        run transcribe --whisper ./tiny-whisper.gguf --json --accept-truncated "$f" "$SAMPLES/silence.wav"; warned "$f" '.*'; [ "$(grep -c partial out)" = 1 ] || wrong "not one is marked"
    done
    run transcribe --whisper ./tiny-whisper.gguf --accept-truncated newuser.flac; warned newuser.flac '[0-9.]* of [0-9.]* s'
    run transcribe --whisper ./tiny-whisper.gguf --accept-truncated jfk.wav; warned jfk.wav '[0-9]* of [0-9]* bytes'
    cut_to "$GOLDEN/video/sound_only.m4a" 10 cut.m4a; run transcribe --whisper ./tiny-whisper.gguf --accept-truncated cut.m4a; failed_with_one_line; err_has "truncated" # its index is at the end
}
claim_a_truncated_film_is_refused_or_seen_with_a_warning() {
    needs "$TINY" "$TINY_MMPROJ"; web_film film.mp4; cut_to film.mp4 14 cut.mp4; model="-m $TINY --mmproj $TINY_MMPROJ -n 4"
    run ask $model --video film.mp4 what; is 0; run ask $model --video cut.mp4 what; failed_with_one_line; grep -q "cut.mp4: truncated: [0-9]* of [0-9]* bytes are there" err || wrong "not how much"
    run ask $model --json --accept-truncated --video cut.mp4 what; warned cut.mp4 '[0-9.]* of [0-9.]* s'; json_lines out text partial
    run describe $model --json --accept-truncated cut.mp4; warned cut.mp4 '[0-9.]* of [0-9.]* s'; json_lines out text timeline partial
    cut_to "$GOLDEN/video/cards.mp4" 14 behind.mp4; run ask $model --accept-truncated --video behind.mp4 what; failed_with_one_line; err_has "truncated"
}
claim_a_batch_keeps_parts_and_wholes_apart() {
    tiny_reader; tiny_whisper; mkdir in; cut_to "$PAGE" 15 in/cut.png; cp "$PAGE" in/whole.png; cut_to "$SAMPLES/jfk.wav" 3 in/cut.wav
    batch() { run batch -t 1 --whisper ./tiny-whisper.gguf "$@"; }
    batch -o all.jsonl in; is 3; [ "$(grep -c '"error"' all.jsonl)" = 2 ] || wrong "not two are refused"; grep -q partial all.jsonl && wrong "marked"
    batch -o all.jsonl --accept-truncated in; is 0; [ "$(grep -c '"partial":true' all.jsonl)" = 2 ] || wrong "not two parts"; [ "$(wc -l <all.jsonl)" = 6 ] || wrong "$(wc -l <all.jsonl) records"
    err_has "in/cut.png: warning: truncated: only "; err_has "in/cut.wav: warning: truncated: only "
    batch -o all.jsonl --accept-truncated in; is 0; err_has "3 before"; batch -o all.jsonl in; is 3; err_has "3 before (2 of them failed)" # a part is not done for who wants the whole
    batch -q -o four.jsonl --accept-truncated --parallel 4 in; is 0; [ "$(grep -c '"partial":true' four.jsonl)" = 2 ] || wrong "not the same with four at once"
    batch -q --accept-truncated -o p.jsonl --csv p.csv in; is 0; [ "$(grep -c ',true,' p.csv)" = 2 ] || wrong "not in the table"
}
claim_the_cache_tells_a_part_from_the_whole() {
    needs "$TINY_MMPROJ"; export XDG_CACHE_HOME=$PWD/kept; cp "$TINY_MMPROJ" m.gguf; touch -d '1 hour ago' m.gguf; sleep 2.1; cut_to "$SAMPLES/sign.png" 12 cut.png
    run encode -v --mmproj m.gguf --image "$SAMPLES/sign.png" -o whole.npy; is 0
    run encode -v --accept-truncated --mmproj m.gguf --image cut.png -o part.npy; warned cut.png '.*'; grep -q 'cache hit' err && wrong "taken for the whole one"; cmp -s whole.npy part.npy && wrong "the same"
    run encode -v --accept-truncated --mmproj m.gguf --image cut.png -o again.npy; err_has "cache hit"; err_has "warning: truncated"; cmp part.npy again.npy || wrong "another part"
    run encode --mmproj m.gguf --image cut.png -o no.npy; failed_with_one_line
}
