# FFmpeg is opened when a medium needs it, and not before.
claim_nothing_of_ffmpeg_is_loaded_at_the_start() {
    ldd "$SENSES" >libraries || skip "needs ldd"
    grep -q 'libsndfile' libraries || wrong "ldd shows no libraries: $(head -c 200 libraries)"
    grep -E 'lib(av[a-z]+|sw(scale|resample))\.so' libraries && wrong "FFmpeg is loaded at the start"
}
# Puts a library into ./broken, where the dynamic linker looks first.
soname() { echo "lib$1.so.$(pkg-config --modversion "lib$1" | cut -d. -f1)"; }
without_ffmpeg() { LD_LIBRARY_PATH=$PWD/broken run "$@"; }

claim_without_ffmpeg_a_medium_that_needs_it_is_refused_in_one_line() {
    mkdir broken
    echo "no library" >"broken/$(soname avutil)"
    for f in "$GOLDEN/vision/files/lossy.webp" "$SAMPLES/testpattern.mp4"; do
        without_ffmpeg encode --mmproj "$TINY_MMPROJ" --image "$f" -o o.npy; failed_with_one_line
        err_has "$f: FFmpeg cannot be loaded: "; err_has "$(soname avutil)"
    done
    without_ffmpeg encode --mmproj "$TINY_AUDIO" --audio "$SAMPLES/jfk.mp3" -o o.npy; failed_with_one_line
    err_has "$SAMPLES/jfk.mp3: FFmpeg cannot be loaded: "
    [ ! -e o.npy ] || wrong "there is an output"
}
claim_a_library_that_lacks_a_function_is_named() {
    mkdir broken
    echo 'int nothing;' >nothing.c
    ${CC:-cc} -shared -fPIC -o "broken/$(soname swscale)" nothing.c || skip "needs a compiler"
    without_ffmpeg encode --mmproj "$TINY_MMPROJ" --image "$GOLDEN/vision/files/lossy.webp" -o o.npy; failed_with_one_line
    err_has "lossy.webp: FFmpeg cannot be used: $(soname swscale) has no sws_"
}
claim_without_ffmpeg_what_needs_none_goes_on() {
    mkdir broken
    for l in avutil avcodec avformat swscale swresample; do echo "no library" >"broken/$(soname $l)"; done
    without_ffmpeg --help; is 0
    without_ffmpeg info "$TINY"; is 0
    for f in "$SAMPLES/sign.png" "$SAMPLES/rocket.jpg"; do
        without_ffmpeg encode --mmproj "$TINY_MMPROJ" --image "$f" -o o.npy; is 0; err_empty
    done
}
