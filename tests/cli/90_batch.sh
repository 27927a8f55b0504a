# batch: whole folders. A page reader of random weights reads nonsense fast; what it reads does not matter, that nothing is lost does.

batch_models() { tiny_reader; tiny_whisper; } # --whisper ./tiny-whisper.gguf
tone() { { printf 'RIFF\x24\x7d\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\0\x7d\0\0'; noise 1000; head -c 31000 /dev/zero; } >"$1"; }
page() { { cat "$PAGE"; printf %s "$1"; } >"$1"; } # the same page with a content of its own
batch() { run batch -t 1 --whisper ./tiny-whisper.gguf "$@"; }
# What a record is but for how long it took.
records() { sed -E 's/"seconds":[0-9.]+/"seconds":0/' "$@" | LC_ALL=C sort; }
kinds() { "$TMP/json" --print "$1" <out; }

claim_batch_takes_every_kind_by_its_content() {
    batch_models; mkdir -p in/deep/er; cp "$PAGE" in/a-page; tone in/deep/tone.jpg; cp "$SAMPLES/testpattern.mp4" in/deep/film
    printf 'some text' >in/text.png; printf '<svg xmlns="http://www.w3.org/2000/svg"/>' >in/drawing.svg; : >in/empty.jpg; printf '\377\330\377\340' >in/deep/er/stump
    batch in; is 3; json_lines out file sha256 type task model seconds settings
    [ "$(wc -l <out)" = 4 ] || wrong "not four records"
    [ "$(kinds file | tr -d '"' | tr '\n' ' ')" = "in/a-page in/deep/er/stump in/deep/film in/deep/tone.jpg " ] || wrong "another order: $(kinds file)"
    [ "$(kinds type | tr -d '"' | tr '\n' ' ')" = "image image video audio " ] || wrong "types: $(kinds type)"
    [ "$(kinds task | tr -d '"' | tr '\n' ' ')" = "describe describe timeline transcribe " ] || wrong "tasks: $(kinds task)"
    [ "$(kinds sha256 | head -n 1)" = "\"$(sha256sum <"$PAGE" | cut -d' ' -f1)\"" ] || wrong "not the hash of the content"
    sed -n 2p out >stump; json_lines stump error; grep -v -n error out | cut -d: -f1 | tr '\n' ' ' | grep -q '^1 3 4 $' || wrong "others failed"
    err_has "senses: in/deep/er/stump: JPEG"; err_has "3 done, 1 failed, 3 skipped; pictures: 2 in 0:00:0"
    grep film out >film; json_lines film text language duration timeline
    batch --task transcribe in; is 0; [ "$(kinds type | sort -u | tr '\n' ' ')" = '"audio" "video" ' ] || wrong "transcribes $(kinds type)"
    batch -q --task describe in/a-page; is 0; err_empty; json_lines out text tokens
}
claim_a_batch_says_what_describe_and_transcribe_say() {
    batch_models; cp "$PAGE" p.png; tone t.wav
    batch -q p.png t.wav; is 0; "$TMP/json" --print text <out >batch-text
    run describe -t 1 --json p.png; "$TMP/json" --print text <out >single; run transcribe -t 1 --json --whisper ./tiny-whisper.gguf t.wav; "$TMP/json" --print text <out >>single
    cmp -s batch-text single || wrong "other texts: $(diff batch-text single | head -3)"
}
claim_a_batch_asks_about_every_file() {
    needs "$TINY" "$TINY_MMPROJ"; batch_models; cp "$SAMPLES/cat.png" "$SAMPLES/sign.png" .; tone t.wav
    set -- -q -m "$TINY" --mmproj "$TINY_MMPROJ" --temp 0 -n 4
    batch "$@" --task ask -p what cat.png sign.png t.wav; is 0; [ "$(kinds task | sort -u)" = '"ask"' ] && [ "$(wc -l <out)" = 3 ] || wrong "not asked"
    batch "$@" -p what cat.png; is 0; out_has '"task":"describe"'; cp out one
    run describe "$@" -t 1 --json -p what cat.png; [ "$("$TMP/json" --print text <out)" = "$("$TMP/json" --print text <one)" ] || wrong "describe says something else"
    batch --task ask cat.png; wrong_usage; err_has "-p"
}
claim_files_at_once_give_the_same_records() {
    needs "$TINY" "$TINY_MMPROJ"; batch_models; mkdir in; for i in 1 2 3 4 5 6; do (cd in && page $i.png); tone in/$i.wav; done; printf '\377\330\377' >in/bad.jpg; printf no >in/none
    cp "$SAMPLES/testpattern.mp4" in/film.mp4
    batch -q -o one.jsonl in; is 3; batch -o three.jsonl --parallel 3 in; is 3; err_has "13 done, 1 failed, 1 skipped"
    records one.jsonl >wanted; records three.jsonl | cmp -s - wanted || wrong "other records: $(records three.jsonl | diff - wanted | cut -c1-100 | head -3)"
    batch -o three.jsonl --parallel 16 in; is 3; err_has "0 done, 0 failed, 1 skipped, 14 before (1 of them failed)"
    cp "$SAMPLES/cat.png" "$SAMPLES/sign.png" in; set -- -q -m "$TINY" --mmproj "$TINY_MMPROJ" --no-cache --task ask -p "what is it" --temp 1 --seed 3 -n 20
    batch "$@" -o asked.jsonl in; is 3; batch "$@" --parallel 4 -o asked4.jsonl in; is 3; records asked.jsonl >wanted; records asked4.jsonl | cmp -s - wanted || wrong "other answers"
    batch "$@" --fields "a, b:int" -n 60 -o fields.jsonl in/cat.png in/sign.png in/1.png in/2.png; is 0; batch "$@" --fields "a, b:int" -n 60 --parallel 4 -o fields4.jsonl in/cat.png in/sign.png in/1.png in/2.png; is 0
    records fields.jsonl >wanted; records fields4.jsonl | cmp -s - wanted || wrong "other fields"
    for bad in 0 17 x; do batch --parallel $bad in; wrong_usage; done
}
claim_batch_wrong_usage() {
    for bad in "" "--shard 0/3 x" "--shard 4/3 x" "--shard 1 x" "--shard 1/3x x" "-0 x" "--csv t.csv x" "-o o.jsonl --csv o.jsonl x" "--overwrite x" "--sidecar=doc x" "--sidecar=txt, x" \
        "--task other x" "--timeout 0 x" "--join all.jsonl"; do run batch $bad; wrong_usage; done
    [ -z "$(find . -name '*.jsonl*' -o -name '*.csv')" ] || wrong "left: $(ls)"
}
claim_a_batch_goes_on_where_it_was() {
    batch_models; mkdir in; for i in 1 2 3 4; do (cd in && page $i.png); done; printf '\377\330\377' >in/5.jpg
    batch -q -o all.jsonl in; is 3; out_empty; [ "$(wc -l <all.jsonl)" = 5 ] || wrong "$(wc -l <all.jsonl) records"; [ ! -e all.jsonl.lock ] || wrong "the lock stays"
    cp all.jsonl first; batch -o all.jsonl in; is 3; cmp -s first all.jsonl || wrong "done twice"; err_has "0 done, 0 failed, 0 skipped, 5 before (1 of them failed)"
    (cd in && page 0.png && printf more >>2.png); batch -q -o all.jsonl in; is 3; [ "$(wc -l <all.jsonl)" = 7 ] || wrong "a new and a changed file are two records more"
    cp "$PAGE" in/5.jpg; batch -q -o all.jsonl in; is 0; [ "$(wc -l <all.jsonl)" = 8 ] || wrong "the mended file is not done" # its old record is of another content
    printf 'II*\0\377\377\377\377' >in/6.tiff; batch -q -o all.jsonl in; is 3; batch -q --retry-failed -o all.jsonl in; is 3; [ "$(wc -l <all.jsonl)" = 10 ] || wrong "not tried again"
}
claim_other_options_are_other_records() {
    batch_models; mkdir in; tone in/t.wav; cp "$PAGE" in/p.png
    batch -q -o all.jsonl in; is 0; batch -o all.jsonl -l en --temp 0.5 in; is 0; err_has "1 before"; [ "$(wc -l <all.jsonl)" = 3 ] || wrong "$(wc -l <all.jsonl) records: the language is of the sound alone"
    err_has "all.jsonl: 1 of its 2 records were made with other models or options"
    batch -o all.jsonl in; is 0; err_has "2 before"; batch -o all.jsonl --timeout 99 --max-pixels 999999 -t 2 in; is 0; err_has "2 before" # these do not decide a text
}
claim_a_torn_end_is_mended_and_what_is_no_record_is_left_alone() {
    batch_models; mkdir in; for i in 1 2 3; do (cd in && page $i.png); done
    batch -q -o whole.jsonl in; is 0; n=$(wc -c <whole.jsonl); last=$(tail -n 1 whole.jsonl | wc -c); records whole.jsonl >wanted
    for cut in 1 2 8 50 $((last - 1)) $last $((last + 1)) $((n - 1)); do
        head -c $((n - cut)) whole.jsonl >torn.jsonl; batch -o torn.jsonl in; is 0; records torn.jsonl | cmp -s - wanted || wrong "cut by $cut: $(cut -c1-60 torn.jsonl)"
        [ "$cut" = "$last" ] || err_has "was torn, and is cut off"
    done
    { head -n 2 whole.jsonl; head -c 700 /dev/zero; } >torn.jsonl; batch -q -o torn.jsonl in; is 0; records torn.jsonl | cmp -s - wanted || wrong "zeros at the end" # as a lost power leaves them
    { head -n 1 whole.jsonl; head -c 700 /dev/zero; tail -n 1 whole.jsonl; } >torn.jsonl; batch -q -o torn.jsonl in; is 0; records torn.jsonl | cmp -s - wanted || wrong "zeros in the middle"
    cp "$PAGE" picture.png; printf 'my notes' >notes; printf '{"a":1}\n' >other.jsonl; { cat whole.jsonl; echo '{"file":"x"}'; } >foreign.jsonl; head -c 99 /dev/zero >zeros; mkdir d
    for f in picture.png notes other.jsonl foreign.jsonl zeros d /dev/null; do
        [ -f "$f" ] && cp "$f" kept; batch -q -o "$f" in; failed_with_one_line; err_has "$f: "; [ ! -f "$f" ] || cmp -s "$f" kept || wrong "$f was touched"; [ ! -e "$f.lock" ] || wrong "$f.lock stays"
    done
}
# BATCH_KILLS times killed at random moments, the run over BATCH_FILES files goes on to the same set of records; BATCH_PARALLEL at once, or 1 to 3.
claim_kill_9_loses_nothing_and_does_nothing_twice() {
    batch_models; mkdir -p in/sub; files=${BATCH_FILES:-60}; kills=${BATCH_KILLS:-12}; RANDOM=7
    for ((i = 0; i < files; i++)); do (cd in && case $((i % 6)) in 5) printf '\377\330\377 %d' "$i" >"$i.jpg" ;; 4) cp "$PAGE" "sub/$i"; printf %s "$i" >>"sub/$i" ;; *) page $i.png ;; esac); done
    batch -q -o unbroken.jsonl in; is 3; records unbroken.jsonl >wanted; [ "$(wc -l <wanted)" = "$files" ] || wrong "$(wc -l <wanted) records"
    for ((k = 0, hit = 0; k < kills; k++)); do
        "$SENSES" batch -t 1 --whisper ./tiny-whisper.gguf -q -o killed.jsonl --parallel ${BATCH_PARALLEL:-$((k % 3 + 1))} in >/dev/null 2>&1 &
        sleep "0.$((RANDOM % 4))$((RANDOM % 10))$((RANDOM % 10))"
        kill -9 $! 2>/dev/null && hit=$((hit + 1)); wait $! 2>/dev/null
        [ -e killed.jsonl ] && [ "$(wc -l <killed.jsonl)" -ge "$files" ] && rm killed.jsonl* # done already: once more from the beginning
    done
    [ "$hit" -ge $((kills / 2)) ] || wrong "only $hit of $kills runs were hit"
    batch -q -o killed.jsonl in; is 3; records killed.jsonl >got; cmp -s got wanted || wrong "other records: $(diff got wanted | cut -c1-80 | head -3)"
    [ "$(ls killed.jsonl*)" = killed.jsonl ] || wrong "left: $(ls killed.jsonl*)"
}
claim_one_run_at_a_time_writes_to_an_output() {
    batch_models; cp "$PAGE" p.png; mkfifo names
    "$SENSES" batch -q -t 1 --whisper ./tiny-whisper.gguf -o all.jsonl --files-from names >/dev/null 2>&1 & holder=$!
    exec 9>names; for i in $(seq 50); do [ -s all.jsonl.lock ] && break; sleep 0.1; done
    batch -o all.jsonl p.png; failed_with_one_line; err_has "all.jsonl: another run is writing to it: process $holder on $(hostname)"
    ln -s all.jsonl other-name; batch -o other-name p.png; failed_with_one_line; err_has "process $holder"
    kill -9 $holder; wait $holder 2>/dev/null; exec 9>&-
    [ -e all.jsonl.lock ] || wrong "no lock was left to be taken over"; batch -q -o all.jsonl p.png; is 0; [ "$(wc -l <all.jsonl)" = 1 ] && [ ! -e all.jsonl.lock ] || wrong "not taken over"
}
claim_a_full_disk_stops_a_batch_that_goes_on_later() {
    batch_models; mkdir in; for ((i = 0; i < 30; i++)); do (cd in && page $i.png); done
    batch -q -o whole.jsonl in; is 0; records whole.jsonl >wanted
    (ulimit -f 8; batch -q -o full.jsonl in; failed_with_one_line; err_has "full.jsonl: cannot be written on: File too large"; exit $case_status) || case_status=1
    n=$(wc -l <full.jsonl); [ "$n" -gt 0 ] && [ "$n" -lt 30 ] || wrong "$n records"; [ "$(tail -c 1 full.jsonl | od -An -c | tr -d ' ')" = '\n' ] || wrong "a torn record stays"
    json_lines full.jsonl file sha256 text; batch -q -o full.jsonl in; is 0; records full.jsonl | cmp -s - wanted || wrong "other records after it"
    batch -q -o /dev/full in/1.png; failed_with_one_line
    if mkdir disk && mount -t tmpfs -o size=16k none disk 2>/dev/null; then
        batch -q -o disk/all.jsonl in; failed_with_one_line; err_has "No space left"; json_lines disk/all.jsonl file text
        mount -o remount,size=1m disk; batch -q -o disk/all.jsonl in; is 0; records disk/all.jsonl | cmp -s - wanted || wrong "other records after the full disk"
        cp "$PAGE" disk/p.png; head -c 2000000 /dev/zero >disk/fill 2>/dev/null; batch -q --sidecar -o beside.jsonl disk/p.png; failed_with_one_line; err_has "disk/p.png.txt: cannot be written: No space"
        [ ! -s beside.jsonl ] || wrong "a record says what is not there"; rm disk/fill; batch -q --sidecar -o beside.jsonl disk/p.png; is 0; [ -s disk/p.png.txt ] || wrong "no sidecar later"; umount disk
    fi
}
claim_a_signal_ends_a_batch_with_the_file_at_hand_and_a_second_at_once() {
    batch_models; mkdir in; for ((i = 0; i < 200; i++)); do (cd in && page $i.png); done
    for signal in INT TERM; do # TERM: with two files at hand
        rm -f all.jsonl; "$SENSES" batch -t 1 --whisper ./tiny-whisper.gguf -o all.jsonl --parallel $(((${#signal} == 4) + 1)) in >out 2>err & pid=$!
        for i in $(seq 100); do [ -s all.jsonl ] && break; sleep 0.05; done; kill -$signal $pid; wait $pid; status=$?; said="batch, and $signal"
        is 130; n=$(wc -l <all.jsonl); [ "$n" -lt 200 ] || wrong "it was not stopped"; err_has "$n done, 0 failed"; json_lines all.jsonl file text; [ ! -e all.jsonl.lock ] || wrong "the lock stays"
    done
    mkfifo names; "$SENSES" batch -t 1 --whisper ./tiny-whisper.gguf -o two.jsonl --files-from names >out 2>err & pid=$! # waits for names: nothing ends it softly
    exec 9>names; echo in/1.png >&9; for i in $(seq 100); do [ -s two.jsonl ] && break; sleep 0.05; done
    kill -INT $pid; sleep 0.2; kill -INT $pid; wait $pid; status=$?; exec 9>&-; is 130; json_lines two.jsonl file text
    batch in | head -n 1 >one; status=${PIPESTATUS[0]}; "$SENSES" batch -q -t 1 --whisper ./tiny-whisper.gguf in 2>err | head -n 1 >one; [ "${PIPESTATUS[0]}" = 141 ] || wrong "a reader that went: ${PIPESTATUS[0]}"; err_empty
}
claim_names_are_bytes() {
    batch_models; mkdir in; cp "$PAGE" "$(printf 'in/b\377d')"; cp "$PAGE" "$(printf 'in/line\nbreak')"; cp "$PAGE" 'in/-q "quoted" \ back'; cp "$PAGE" in/ünï
    batch -q -o all.jsonl in; is 0; json_lines all.jsonl file text; iconv -f UTF-8 -t UTF-8 all.jsonl >/dev/null || wrong "not UTF-8"
    [ "$(grep -c file_hex all.jsonl)" = 1 ] || wrong "not one escaped name"; grep -q '"file_hex":"696e2f62ff64"' all.jsonl || wrong "not the bytes of the name"
    grep -q '"file":"in/line\\nbreak"' all.jsonl || wrong "no newline in the name"; cp all.jsonl first; batch -q -o all.jsonl in; is 0; cmp -s first all.jsonl || wrong "done twice"
    find in -type f -print0 | LC_ALL=C sort -z >list; for from in list -; do
        rm -f all.jsonl; stdin=list; batch -q -o all.jsonl --files-from $from -0; is 0; records all.jsonl >got; records first | cmp -s - got || wrong "another set from $from"
    done
    stdin=/dev/null; (cd in && ls -- -q* >../list); cd in; mv ../tiny-whisper.gguf .; batch -q --files-from ../list; is 0; [ "$(wc -l <out)" = 1 ] || wrong "not the listed file"
}
claim_loops_special_files_and_bad_names_are_no_harm() {
    batch_models; mkdir -p in/a/b elsewhere; cp "$PAGE" in/a/b/p.png; cp "$PAGE" elsewhere/q.png; ln -s ../.. in/a/b/up; ln -s ../elsewhere in/linked; ln -s self in/self; ln -s nowhere in/dangling
    ln -s ../elsewhere/q.png in/file-link; mkfifo in/fifo; ln -s /dev/zero in/zero
    batch in; is 0; [ "$(kinds file | tr -d '"' | tr '\n' ' ')" = "in/a/b/p.png in/file-link in/linked/q.png " ] || wrong "files: $(kinds file)"; err_has "3 done, 0 failed, 5 skipped"
    batch -q in ./missing in/fifo; is 3; [ "$(wc -l <out)" = 4 ] || wrong "the missing file has no record"; sed -n 4p out >missing; json_lines missing error; err_has "senses: ./missing: No such file"
    batch -q in/ in; is 0; [ "$(wc -l <out)" = 3 ] || wrong "a folder given twice is done twice"
}
claim_include_and_exclude_choose_files() {
    batch_models; mkdir -p in/x in/cache; for f in 1.png 2.png x/1.jpg cache/3.png; do cp "$PAGE" "in/$f"; done
    chosen() { batch -q "$@" in; is 0; [ "$(kinds file | tr -d '"' | tr '\n' ' ')" = "$wanted" ] || wrong "chosen: $(kinds file)"; }
    wanted="in/1.png in/2.png in/cache/3.png "; chosen --include '*.png'
    wanted="in/1.png in/2.png "; chosen --include '*.png' --exclude cache
    wanted="in/1.png in/2.png in/x/1.jpg "; chosen --exclude '*/cache/*'
    wanted="in/1.png in/x/1.jpg "; chosen --include '1.*'
    cp "$PAGE" in/.hidden; run batch -q -t 1 --task describe --exclude '.*' in/../in/.; is 0; [ "$(wc -l <out)" = 4 ] || wrong "hidden files, or the folder that is given"
}
claim_shards_are_disjoint_and_join_to_the_whole() {
    batch_models; mkdir in; for ((i = 0; i < 24; i++)); do (cd in && page $i.png); done; printf '\377\330\377' >in/bad.jpg
    batch -q -o whole.jsonl in; is 3; records whole.jsonl >wanted
    for i in 1 2 3; do batch -q -o part-$i.jsonl --shard $i/3 in; [ -s part-$i.jsonl ] || wrong "part $i has nothing"; done
    [ "$(cat part-?.jsonl | wc -l)" = 25 ] || wrong "not disjoint"; run batch --join all.jsonl part-1.jsonl part-2.jsonl part-3.jsonl; is 0; err_has "25 records of 3 files, 1 of them failed"
    records all.jsonl | cmp -s - wanted || wrong "not the whole"; run batch -q --join again.jsonl all.jsonl part-2.jsonl whole.jsonl; is 0; cmp -s all.jsonl again.jsonl || wrong "not each once"
    batch -o all.jsonl in; is 3; err_has "25 before" # a joined output goes on
    head -c -9 part-2.jsonl >torn.jsonl; run batch --join new.jsonl part-1.jsonl torn.jsonl; failed_with_one_line; err_has "torn.jsonl: its last line is torn"
    echo nonsense >bad.jsonl; run batch --join new.jsonl part-1.jsonl bad.jsonl; failed_with_one_line; err_has "bad.jsonl: line 1"; [ -z "$(ls new.jsonl* 2>/dev/null)" ] || wrong "a joined file was left"
    run batch --join all.jsonl part-1.jsonl all.jsonl; wrong_usage; cmp -s all.jsonl again.jsonl || wrong "a part was overwritten"
}
claim_sidecars_stand_beside_and_never_over() {
    batch_models; mkdir in; cp "$PAGE" in/p.png; tone in/t.wav; printf '\377\330\377' >in/bad.jpg; sha256sum in/* >before
    batch -q --sidecar in; is 3; [ "$(cd in && echo *.*.*)" = "p.png.txt t.wav.srt" ] || wrong "beside them: $(ls in)"; "$TMP/json" --print text <out | head -n 1 >text
    [ "$(wc -c <in/p.png.txt)" -gt 10 ] || wrong "no text"; echo mine >in/p.png.txt; batch -q --sidecar=txt,json,srt,xmp in; is 3; [ "$(cat in/p.png.txt)" = mine ] || wrong "written over"
    [ "$(cd in && echo *.*.*)" = "p.png.json p.png.txt p.png.xmp t.wav.json t.wav.srt t.wav.txt t.wav.xmp" ] || wrong "beside them: $(ls in)"; json_lines in/p.png.json file sha256 text
    batch -q --sidecar --overwrite in; is 3; [ "$(cat in/p.png.txt)" != mine ] || wrong "not written over"; sha256sum --quiet -c before || wrong "an original was touched"
    cp "$PAGE" in/p.png.txt; batch -q --sidecar --overwrite --include p.png in; is 0; cmp -s "$PAGE" in/p.png.txt || wrong "a picture was written over, whatever it is called"
    python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' in/t.wav.xmp 2>/dev/null || wrong "no XML"; [ -z "$(find in -name '.senses*')" ] || wrong "temporaries left"
}
claim_a_folder_that_may_not_be_written_to_is_refused_before_the_work() {
    batch_models; mkdir -p in/locked; cp "$PAGE" in/a.png; cp "$PAGE" in/locked/b.png; chmod 555 in/locked
    as=; [ "$(id -u)" != 0 ] || as="setpriv --bounding-set=-dac_override,-dac_read_search"
    $as touch in/locked/x 2>/dev/null && { chmod 755 in/locked; skip "this user may write anywhere"; }
    $as "$SENSES" batch -q --sidecar --whisper ./tiny-whisper.gguf -o all.jsonl in >out 2>err; status=$?; said="batch --sidecar"; failed_with_one_line; err_has "in/locked: nothing can be written"
    [ ! -e in/a.png.txt ] && [ ! -e all.jsonl ] || wrong "work was done"; chmod 755 in/locked
}
claim_limits_end_a_file_and_not_the_batch() {
    batch_models; mkdir in; cp "$PAGE" in/a.png; tone in/b.wav; cp "$SAMPLES/jfk.wav" in/c.wav
    batch -q --max-duration 5 in; is 3; grep -c error out | grep -q 1 || wrong "not one is too long"; err_has "in/c.wav: more than 5 s of sound (--max-duration)"
    batch -q --max-pixels 10 in; is 3; [ "$(grep -c error out)" = 1 ] || wrong "not one is too large"; err_has "in/a.png"
    { printf 'RIFF\x24\x5a\x62\x02WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\0\x5a\x62\x02'; head -c 40000000 /dev/urandom; } >in/c.wav # twenty minutes of noise
    run batch -q -t 1 --isa scalar --whisper ./tiny-whisper.gguf --task transcribe --timeout 1 in/c.wav in/b.wav; is 3; err_has "in/c.wav: not done within 1 s (--timeout)"; [ "$(wc -l <out)" = 2 ] || wrong "it ended the batch"
}
claim_a_table_has_every_record() {
    batch_models; mkdir in; cp "$PAGE" 'in/a, "b".png'; tone in/t.wav; printf '\377\330\377' >in/bad.jpg
    batch -q -o all.jsonl --csv all.csv in; is 3; head -n 1 all.csv | tr -d '\r' | grep -q '^file,type,task,model,text,language,duration,partial,seconds,error,sha256,file_hex$' || wrong "columns: $(head -n 1 all.csv)"
    python3 - <<'P' || wrong "not the records"
import csv, json
rows = list(csv.DictReader(open('all.csv', newline='')))
records = [json.loads(l) for l in open('all.jsonl')]
assert len(rows) == 3 and [r['file'] for r in rows] == [j['file'] for j in records]
assert all(r['text'] == j.get('text', '') and r['error'] == j.get('error', '') and r['sha256'] == j['sha256'] for r, j in zip(rows, records))
P
}
claim_a_dry_run_says_what_would_be_done_and_writes_nothing() {
    batch_models; mkdir in; cp "$PAGE" in/p.png; cp "$PAGE" in/q.png; tone in/t.wav; echo x >in/x; ls -R in >before
    batch --dry-run -o all.jsonl --sidecar in; is 0; out_has "pictures: 2, about "; out_has "if all are like in/p.png"; out_has "sounds: 1 (0 of them videos)"; out_has "other files: 1 skipped, 0 cannot be read"; out_has "MiB at most"
    [ ! -e all.jsonl ] && [ ! -e all.jsonl.lock ] || wrong "it writes"; ls -R in | cmp -s - before || wrong "it writes beside them"
}
claim_without_its_models_a_batch_does_not_begin() {
    cp "$PAGE" p.png; run batch -q --task transcribe -o all.jsonl p.png; failed_with_one_line; [ ! -e all.jsonl ] || wrong "an output was made"
}
