#!/usr/bin/env bash
# A batch on a Slurm cluster: an array of shards, and a job behind them that joins what they wrote. See docs/batch.md.
#   tools/cluster/batch.sh N OUT.jsonl [BATCH-OPTION...] PATH...
# Shard I writes OUT.jsonl.I-of-N, which may lie on a disk that all nodes see, as the paths must. A shard that died (its node was lost, its time
# was up, it was killed, its disk was full) is queued again and goes on where it was. The same command given again goes on as well.
#   SENSES=senses     the program, on every node        SBATCH_*     options for sbatch, as SBATCH_PARTITION or SBATCH_TIMELIMIT
#   RETRIES=5         how often a shard may be queued again before it is given up
set -u
fail() { echo "batch.sh: $*" >&2; exit 2; }

# One shard, as a job of the array. Statuses: 0 done, 3 done with some files failed; what else it ends with, it did not end by itself.
run_shard() {
    local n=$1 out=$2 child status
    shift 2
    "$SENSES" batch -o "$out.$SLURM_ARRAY_TASK_ID-of-$n" --shard "$SLURM_ARRAY_TASK_ID/$n" "$@" &
    child=$!
    trap 'kill -TERM $child' TERM INT # Slurm tells the script that its time is up: the file at hand is finished
    wait $child
    status=$?
    while kill -0 $child 2>/dev/null; do wait $child; status=$?; done # the trap ends a wait
    case $status in
    0 | 3) exit 0 ;;
    2) exit 2 ;; # wrong usage stays wrong
    esac
    echo "batch.sh: shard $SLURM_ARRAY_TASK_ID ended with status $status" >&2
    if [ "${SLURM_RESTART_COUNT:-0}" -lt "$RETRIES" ]; then scontrol requeue "$SLURM_JOB_ID" && sleep 60; fi # requeueing ends this script
    exit 1
}

run_join() {
    local n=$1 out=$2 parts=()
    for ((i = 1; i <= n; i++)); do parts+=("$out.$i-of-$n"); done
    exec "$SENSES" batch --join "$out" "${parts[@]}"
}

export SENSES=${SENSES:-senses} RETRIES=${RETRIES:-5}
case ${1:-} in
shard) shift; run_shard "$@" ;;
join) shift; run_join "$@" ;;
esac
[ $# -ge 3 ] || fail "usage: batch.sh N OUT.jsonl [BATCH-OPTION...] PATH..."
[[ $1 =~ ^[1-9][0-9]*$ ]] || fail "'$1' is no number of shards"
command -v sbatch >/dev/null || fail "sbatch is not there: this needs Slurm"
n=$1 out=$2
name=$(basename "$out")
self=$(realpath "$0")
# --signal: a minute before the time is up the script gets SIGTERM and finishes the file at hand
job=$(sbatch --parsable --job-name="$name" --array="1-$n" --requeue --open-mode=append --signal=B:TERM@60 \
    --output="$out.%a-of-$n.log" "$self" shard "$@") || exit 1
join=$(sbatch --parsable --job-name="join-$name" --dependency="afterok:${job%%;*}" --kill-on-invalid-dep=yes \
    --output="$out.join.log" "$self" join "$n" "$out") || exit 1
echo "shards: job ${job%%;*}; join: job ${join%%;*}, into $out"
