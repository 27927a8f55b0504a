#!/bin/sh
# Makes tests/golden/video: small videos and what ffmpeg itself decodes from them. Our own drawings, CC0. Needs the ffmpeg program
# (made with 9.0); run in the repository: tests/golden/make_video.sh [FFMPEG]
set -eu
f="${1:-ffmpeg} -v error -y -bitexact"
d=tests/golden/video
card() { echo "color=c=$1:s=$2:r=10:d=$3"; }
h264="-c:v libx264 -preset veryslow -pix_fmt yuv420p -bf 2 -g 250 -sc_threshold 0"

# Three cards of 2 s, one coded on its own: the cuts must be seen.
three="-f lavfi -i $(card red 160x120 2) -f lavfi -i $(card green 160x120 2) -f lavfi -i $(card white 160x120 2)"
$f $three -filter_complex concat=n=3 $h264 $d/cards.mp4
$f $three -f lavfi -i sine=440:d=6 -filter_complex concat=n=3[v] -map [v] -map 3:a -c:v libvpx -b:v 50k -c:a libvorbis -q:a 0 $d/sound.webm
$f -f lavfi -i "testsrc=s=96x64:r=10:d=1" $h264 -pix_fmt yuv444p $d/plain.mp4
$f -display_rotation 90 -i $d/plain.mp4 -c copy $d/turned.mp4
$f -f lavfi -i "testsrc=s=90x64:r=10:d=1,setsar=4/3" $h264 $d/wide.mp4
$f -f lavfi -i "testsrc=s=33x17:r=10:d=0.1" -c:v ffv1 -pix_fmt yuv444p10le $d/one_odd.mkv
$f -f lavfi -i "testsrc=s=64x48:r=10:d=1,format=yuva420p" -c:v libvpx-vp9 -b:v 50k $d/alpha.webm
# Frames at 0, 0.1, 0.2, then none until the blue one at 6.
$f -f lavfi -i "$(card red 64x48 0.3)" -f lavfi -i "$(card blue 64x48 0.3)" \
   -filter_complex "[1]setpts=PTS+2.9/TB[b];[0][b]concat=n=2,setpts='if(gte(N,3),PTS+2.9/TB,PTS)'" -fps_mode vfr $h264 $d/vfr.mp4
$f $three -filter_complex "concat=n=3,negate" -c:v mpeg2video -b:v 100k -g 10 $d/cards.mpg
# 90 s without a cut, a key every 5 s; and 80 s of two scenes with one key alone.
$f -f lavfi -i "color=gray:s=64x48:r=5:d=90" -c:v libx264 -preset veryslow -pix_fmt yuv420p -g 25 $d/long.mp4
$f -f lavfi -i "color=black:s=64x48:r=5:d=50" -f lavfi -i "color=white:s=64x48:r=5:d=30" -filter_complex concat=n=2 \
   -c:v libx264 -preset veryslow -pix_fmt yuv420p -g 9999 -sc_threshold 0 $d/sparse.mp4
$f -f lavfi -i sine=440:d=1 -c:a aac -b:a 16k $d/sound_only.m4a
$f -f lavfi -i sine=440:d=1 -f lavfi -i color=red:s=32x32:d=0.1 -map 0 -map 1 -frames:v 1 -c:a libmp3lame -b:a 16k -c:v mjpeg -pix_fmt yuvj420p \
   -disposition:v attached_pic $d/cover.mp3
$f -i $d/cover.mp3 -map 0 -c:a aac -b:a 16k -c:v copy -disposition:v attached_pic $d/cover.m4a

# The first pictures as ffmpeg's own program shows them.
for v in plain.mp4 turned.mp4 one_odd.mkv; do
  $f -i $d/$v -frames:v 1 -sws_flags bilinear+accurate_rnd+full_chroma_int+full_chroma_inp -f rawvideo -pix_fmt rgb24 $d/$v.rgb
done

# samples/pages.mp4: two drawn pages and a photograph, with a speech.
fit="scale=800:800:force_original_aspect_ratio=decrease,pad=800:800:-1:-1:white,setsar=1,fps=2"
$f -loop 1 -t 3 -i samples/sketch-jokes.jpg -loop 1 -t 4 -i samples/sketch-cafe.jpg -loop 1 -t 4 -i samples/rocket.jpg -i samples/jfk.wav \
   -filter_complex "[0]$fit[a];[1]$fit[b];[2]$fit[c];[a][b][c]concat=n=3[v]" -map '[v]' -map 3:a -c:v libx264 -preset veryslow \
   -pix_fmt yuv420p -crf 32 -c:a aac -b:a 24k samples/pages.mp4
# Faint text in every frame, coded without loss.
$f -loop 1 -i tests/golden/vision/faint/white_28_2.png -t 1 -r 5 -c:v libx264 -preset veryslow -qp 0 -pix_fmt yuv444p $d/faint.mp4
