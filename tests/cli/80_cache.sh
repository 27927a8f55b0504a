# The cache of encoded media. All other cases run without one (run.sh).

cached() { export XDG_CACHE_HOME=$PWD/cache; media=$XDG_CACHE_HOME/senses/media; }
entries() { ls "$media" 2>/dev/null | wc -l; } # what begins with a dot is no entry

claim_a_second_question_does_not_encode_again() {
    needs "$TINY" "$TINY_MMPROJ"; cached
    set -- -m "$TINY" --mmproj "$TINY_MMPROJ" --temp 0 -n 8
    run ask "$@" --no-cache --image "$SAMPLES/cat.png" "what?"; is 0; err_empty; cp out plain; [ ! -e cache ] || wrong "--no-cache writes"
    run ask "$@" -v --image "$SAMPLES/cat.png" "what?"; is 0; err_has "image 1: cache miss: encoded in "; err_has "cache: $media (at most 1024 MiB)"
    cmp -s out plain || wrong "the first answer is another"; [ "$(entries)" = 1 ] || wrong "$(entries) entries"
    run ask "$@" -v --image "$SAMPLES/cat.png" "what?"; is 0; err_has "image 1: cache hit: not encoded again"; cmp -s out plain || wrong "the second answer is another"
    run ask "$@" --image "$SAMPLES/cat.png" "what?"; is 0; err_empty; cmp -s out plain || wrong "the third answer is another"
    run ask "$@" -v --no-cache --image "$SAMPLES/cat.png" "what?"; is 0; ! grep -q -E 'cache (hit|miss)|^cache:' err || wrong "--no-cache has one"
    run ask "$@" -v --image "$SAMPLES/cat.png" --image "$SAMPLES/sign.png" "and this?"; err_has "image 1: cache hit"; err_has "image 2: cache miss"
    cat "$SAMPLES/cat.png" >copy; run describe "$@" -v copy; is 0; err_has "image 1: cache hit" # by content, whatever it is called
    run describe "$@" -v --image-fit stretch copy; is 0; err_has "image 1: cache miss"
    run describe "$@" -v --isa scalar copy; is 0; err_has "image 1: cache miss"
}
claim_every_command_that_encodes_has_the_cache() {
    needs "$TINY" "$TINY_MMPROJ" "$TINY_AUDIO"; cached
    run encode --no-cache --mmproj "$TINY_MMPROJ" --image "$SAMPLES/cat.png" -o plain.npy; is 0
    run encode -v --mmproj "$TINY_MMPROJ" --image "$SAMPLES/cat.png" -o miss.npy; is 0; err_has "cache miss"; cmp -s plain.npy miss.npy || wrong "a miss differs"
    run encode -v --mmproj "$TINY_MMPROJ" --image "$SAMPLES/cat.png" -o hit.npy; is 0; err_has "cache hit"; cmp -s plain.npy hit.npy || wrong "a hit differs"
    run logits --raw --no-cache -m "$TINY" --mmproj "$TINY_MMPROJ" --image "$SAMPLES/cat.png" -o plain.npy "what?"; is 0
    run logits --raw -m "$TINY" --mmproj "$TINY_MMPROJ" --image "$SAMPLES/cat.png" -o hit.npy "what?"; is 0; cmp -s plain.npy hit.npy || wrong "other logits"
    printf 'what\n' >talk; stdin=talk
    run chat -v -m "$TINY" --mmproj "$TINY_MMPROJ" --image "$SAMPLES/cat.png" -n 4; is 0; err_has "image 1: cache hit"; stdin=/dev/null
    run encode -v --mmproj "$TINY_AUDIO" --audio "$SAMPLES/jfk.wav" -o miss.npy; is 0; err_has "cache miss"
    run encode -v --mmproj "$TINY_AUDIO" --audio "$SAMPLES/jfk.wav" -o hit.npy; is 0; err_has "cache hit"; cmp -s miss.npy hit.npy || wrong "a sound's hit differs"
    [ "$(entries)" = 2 ] || wrong "$(entries) entries"
}
claim_what_costs_little_is_not_kept() { # the page reader's own pair, and a bench, which measures
    needs "$TINY_MMPROJ" "$PAGE"; cached; tiny_reader
    run describe -v "$PAGE"; is 0; run bench -r 1 --mmproj "$TINY_MMPROJ"; is 0
    [ ! -e cache ] || wrong "$(find cache)"
}
claim_the_cache_is_where_the_environment_says_and_private() {
    needs "$TINY_MMPROJ"; cached; umask 022
    encode() { run encode -v --mmproj "$TINY_MMPROJ" --image "$SAMPLES/cat.png" -o x.npy; is 0; }
    encode; [ "$(find cache -type d -perm 700 | wc -l)" = 3 ] || wrong "$(ls -ld cache/senses/media)"; [ "$(find cache -type f ! -perm 600 | wc -l)" = 0 ] || wrong "$(ls -la "$media")"
    mkdir home; export HOME=$PWD/home
    for XDG_CACHE_HOME in "" relative; do
        rm -rf home/.cache; encode; [ -d home/.cache/senses/media ] || wrong "not in HOME"; [ ! -e relative ] || wrong "relative folder used"
    done
    unset XDG_CACHE_HOME HOME; encode; err_has "no cache: neither XDG_CACHE_HOME nor HOME"; ! grep -q "cache miss" err || wrong "there is one"
    export XDG_CACHE_HOME=$PWD/shared; mkdir -p shared/senses/media; chmod 777 shared/senses/media
    encode; err_has "no cache: $PWD/shared/senses/media: other users may write to it"; [ -z "$(ls -A shared/senses/media)" ] || wrong "written to"
}
claim_no_cache_is_no_failure() {
    needs "$TINY" "$TINY_MMPROJ"; cached
    set -- ask -m "$TINY" --mmproj "$TINY_MMPROJ" --temp 0 -n 8 --image "$SAMPLES/cat.png" "what?"
    run "$@" --no-cache; is 0; cp out plain
    XDG_CACHE_HOME=/dev/null run "$@"; is 0; err_empty; cmp -s out plain || wrong "another answer"
    XDG_CACHE_HOME=/dev/null run "$@" -v; is 0; err_has "no cache: /dev/null/senses/media: Not a directory"
    (ulimit -f 16; run "$@"; is 0; err_empty; exit "$case_status") || case_status=1 # as on a full disk
    [ -z "$(ls -A "$media" | grep -v '^\.added$')" ] || wrong "left: $(ls -A "$media")"
    run "$@"; is 0
    for damage in ': >' 'head -c 70000 hit >' 'noise 147616 >' 'rm -f "$f"; ln -s /dev/zero' 'rm -f "$f"; mkfifo'; do
        for f in "$media"/*.rows; do cp "$f" hit; eval "$damage \"\$f\""; done
        run "$@"; is 0; err_empty; cmp -s out plain || wrong "another answer after: $damage"
        run "$@" -v; err_has "cache hit"
    done
}
claim_the_cache_stays_within_its_size() {
    needs "$TINY_MMPROJ"; cached
    wanted=; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do printf "P6 1 1 255\n$(printf '\\%03o' "$i")\1\1" >"$i.ppm"; wanted="$wanted --image $i.ppm"; done
    run encode -v --cache-size 1 --mmproj "$TINY_MMPROJ" $wanted -o x.npy; is 0; err_has "(at most 1 MiB)"
    [ "$(entries)" -lt 8 ] && [ "$(entries)" -gt 3 ] || wrong "$(entries) entries of 144 KiB"
    run encode -v --cache-size 1 --mmproj "$TINY_MMPROJ" --image 12.ppm -o y.npy; err_has "cache hit"
    run encode -v --cache-size 1 --mmproj "$TINY_MMPROJ" --image 1.ppm -o y.npy; err_has "cache miss"
    export SENSES_CACHE_SIZE=2; run encode -v --mmproj "$TINY_MMPROJ" --image 1.ppm -o y.npy; is 0; err_has "(at most 2 MiB)"
    run encode -v --cache-size 3 --mmproj "$TINY_MMPROJ" --image 1.ppm -o y.npy; is 0; err_has "(at most 3 MiB)"
    SENSES_CACHE_SIZE=0 run encode --mmproj "$TINY_MMPROJ" --image 1.ppm -o y.npy; wrong_usage; err_has "SENSES_CACHE_SIZE"
    run encode --cache-size none --mmproj "$TINY_MMPROJ" --image 1.ppm -o y.npy; wrong_usage; err_has "--cache-size"
    unset SENSES_CACHE_SIZE; run tokenize --no-cache; wrong_usage
}
