#!/bin/sh
# Trains the reader of drawn pages, from where the last run stopped: run.sh [STAGE|all|plot] [OPTIONS of train.py]
# or writes the model files of what was trained: run.sh export FOLDER
# Needs python3 with venv and pip, and once: Debian's package archive for fonts and words (they are unpacked beside the
# checkpoints; nothing is installed). All of it lies in $SENSES_TRAIN_DIR, by default ~/.cache/senses/train; copy that
# folder to another machine to go on there, with or without a network, with or without a GPU.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${SENSES_TRAIN_DIR:-$HOME/.cache/senses/train}
python=${SENSES_TRAIN_PYTHON:-$dir/venv/bin/python}
mkdir -p "$dir"
export SENSES_TRAIN_DIR="$dir"

if [ -z "${SENSES_TRAIN_PYTHON:-}" ] && ! cmp -s "$here/requirements.txt" "$dir/venv/done"; then
    python3 -m venv "$dir/venv"
    "$dir/venv/bin/pip" install -q -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$dir/venv/done"
fi

packages="fonts-humor-sans fonts-kiloji fonts-rufscript fonts-comic-neue fonts-breip fonts-bwht fonts-dancingscript
fonts-dustin fonts-ecolier-court fonts-femkeklaver fonts-dkg-handwriting fonts-junction fonts-jura fonts-kaushanscript fonts-klee
fonts-kristi fonts-leckerli-one fonts-lobstertwo fonts-opendyslexic fonts-sjfonts fonts-tomsontalks fonts-yozvox-yozfont
fonts-yozvox-yozfont-new-kana fonts-yozvox-yozfont-standard-kana fonts-yozvox-yozfont-cute fonts-yozvox-yozfont-edu fonts-yozvox-yozfont-antique fonts-yusei-magic fonts-seto fonts-tlwg-purisa-ttf fonts-tlwg-typist-ttf
fonts-gnutypewriter fonts-smc-chilanka fonts-smc-manjari fonts-nanum fonts-nanum-extra fonts-aenigma fonts-radisnoir
fonts-bajaderka fonts-stick fonts-averia-sans-gwf fonts-motoya-l-maruberi fonts-routed-gothic fonts-osifont fonts-comfortaa
fonts-quicksand fonts-beteckna fonts-lxgw-wenkai fonts-georgewilliams fonts-eurofurence fonts-fantasque-sans fonts-tuffy
fonts-unfonts-extra fonts-dejavu-core fonts-liberation fonts-open-sans fonts-lato fonts-urw-base35 fonts-freefont-ttf
fonts-cantarell fonts-oxygen fonts-play fonts-roboto-unhinted fonts-courier-prime fonts-ebgaramond fonts-inter fonts-cabin
fonts-crosextra-carlito fonts-league-spartan fonts-yanone-kaffeesatz fonts-dosis texlive-fonts-extra hershey-fonts-data wamerican"
# photos: what lies around a page, and what is none
packages="$packages pysiogame ukui-wallpapers mate-backgrounds gnome-backgrounds plasma-workspace-wallpapers lxqt-themes"
if [ ! -e "$dir/fonts.pickle" ]; then
    mkdir -p "$dir/packages" "$dir/assets"
    for p in $packages; do
        (cd "$dir/packages" && { ls "${p}"_*.deb >/dev/null 2>&1 || apt-get download -q "$p" >/dev/null 2>&1; }) ||
            echo "run.sh: no package $p; the pages will have fewer hands" >&2
    done
    for d in "$dir"/packages/*.deb; do
        [ -e "$d" ] && dpkg -x "$d" "$dir/assets"
    done
    "$python" -W ignore "$here/fonts.py" "$dir/assets" /
fi

what=${1:-all}
[ $# -gt 0 ] && shift
if [ "$what" = export ]; then
    exec "$python" "$here/export.py" --out "$1"
fi
fast=
grep -q avx512_bf16 /proc/cpuinfo 2>/dev/null && fast=--bf16
command -v g++ >/dev/null && fast="$fast --fuse"
[ "$what" = plot ] && fast=
# A thread that waits for another gives its core away: with other work on the machine, spinning costs ten times the steps.
export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0
idle="nice -n 19"
command -v chrt >/dev/null && idle="$idle chrt -i 0"
exec $idle "$python" "$here/train.py" "$what" $fast "$@"
