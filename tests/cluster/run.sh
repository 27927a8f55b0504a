#!/usr/bin/env bash
# tools/cluster/batch.sh against a real Slurm of two nodes on this machine, one of which is killed in the middle: the joined output has the
# records of an undisturbed run. Needs root, slurmctld, slurmd, slurm-client and munge (make deps-cluster).
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$PWD
for tool in munged slurmctld slurmd sbatch; do command -v $tool >/dev/null || { echo "SKIP cluster: $tool is not there (make deps-cluster)"; exit 0; }; done
[ "$(id -u)" = 0 ] || { echo "SKIP cluster: needs root"; exit 0; }
dir=$(mktemp -d)
started=()
finish() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null; done
    sleep 1
    for pid in "${started[@]}"; do kill -9 "$pid" 2>/dev/null; done
    rm -rf "$dir"
}
trap finish EXIT
fail() {
    echo "FAIL cluster: $*"
    grep -i -E 'requeu|down|fail' "$dir/slurmctld.log" | sed 's/^/    /'
    tail -n 5 "$dir"/*.log 2>/dev/null | sed 's/^/    /'
    exit 1
}
until_true() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.5
    done
}

# ---- a cluster ----
chmod 755 "$dir"
mkdir "$dir/munge" "$dir/state" "$dir/n1" "$dir/n2"
head -c 1024 /dev/urandom >"$dir/munge/key"
chmod 400 "$dir/munge/key"
munged -F --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" --log-file="$dir/munge/log" \
    --seed-file="$dir/munge/seed" --force >"$dir/munged.log" 2>&1 &
started+=($!)
cat >"$dir/slurm.conf" <<C
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=27817
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=10
CredType=cred/munge
SlurmUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SlurmdTimeout=6
MessageTimeout=5
JobRequeue=1
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=27818 CPUs=2 State=UNKNOWN
NodeName=n2 NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=27819 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
C
export SLURM_CONF=$dir/slurm.conf
until_true 10 test -S "$dir/munge/socket" || fail "munged does not start"
slurmctld -D >"$dir/slurmctld-out.log" 2>&1 &
started+=($!)
slurmd -D -N n1 >"$dir/n1-out.log" 2>&1 &
lost=$!
disown "$lost"
started+=($lost)
slurmd -D -N n2 >"$dir/n2-out.log" 2>&1 &
started+=($!)
until_true 40 sh -c '[ "$(sinfo -h -o %T | sort -u)" = idle ]' || fail "the nodes do not come up: $(sinfo 2>&1 | tail -2)"

# ---- a batch: what is read is nonsense, that it is all there counts ----
mkdir -p "$dir/in" "$dir/models"
cp tests/golden/page/sketch.gguf tests/golden/page/sketch-mmproj.gguf "$dir/models/"
export SENSES_HOME=$dir SENSES=${SENSES:-$root/senses} XDG_CACHE_HOME=/dev/null
case $SENSES in /*) ;; *) SENSES=$root/${SENSES#./} ;; esac
files=${BATCH_FILES:-600}
for ((i = 0; i < files; i++)); do { cat tests/golden/page/page.png; echo $i; } >"$dir/in/$i.png"; done
records() { sed -E 's/"seconds":[0-9.]+/"seconds":0/' "$@" | LC_ALL=C sort; }
"$SENSES" batch -q -t 1 --task describe -o "$dir/whole.jsonl" "$dir/in" || fail "the undisturbed run fails"

tools/cluster/batch.sh 4 "$dir/all.jsonl" -q -t 1 --task describe "$dir/in" >"$dir/submit.log" 2>&1 || fail "it cannot be submitted"
done_before() { [ "$(cat "$dir"/all.jsonl.?-of-4 2>/dev/null | wc -l)" -ge 8 ]; }
until_true 60 done_before || fail "the shards do not begin: $(squeue 2>&1)"
# The node is lost with all that runs on it: its daemon, then the keepers of its jobs, before they can tell of the end of those.
on_node() { for p in /proc/[0-9]*; do { tr '\0' '\n' <"$p/environ" | grep -q "^SLURM_CONF=$dir/slurm.conf$" && tr '\0' '\n' <"$p/environ" | grep -q "^SLURMD_NODENAME=$1$"; } 2>/dev/null && echo "${p#/proc/}"; done; }
jobs=$(on_node n1)
keepers=$(for p in $jobs; do ps -o ppid= -p "$p"; done | sort -u | while read -r p; do ps -o args= -p "$p" | grep -q '^slurmstepd' && echo "$p"; done)
kill -9 "$lost" $keepers $jobs 2>/dev/null
[ -n "$jobs" ] || fail "nothing ran on the node that is lost"
# On the other node only the program of one shard is killed.
program=$(for p in $(on_node n2); do ps -o pid=,args= -p "$p" | grep ' batch -o ' | grep -v batch.sh; done | awk 'NR == 1 { print $1 }')
[ -n "$program" ] && kill -9 $program || fail "no shard runs on the other node"
echo "lost node n1 with $(wc -w <<<"$jobs") processes, after $(cat "$dir"/all.jsonl.?-of-4 | wc -l) of $files records"
joined() { [ -s "$dir/all.jsonl" ]; }
until_true "${CLUSTER_TIMEOUT:-300}" joined || fail "it is not joined: $(squeue -o '%i %T %r' 2>&1 | tr '\n' ';') $(sinfo -h 2>&1 | tr '\n' ';')"
records "$dir/all.jsonl" >"$dir/got"
records "$dir/whole.jsonl" >"$dir/wanted"
cmp -s "$dir/got" "$dir/wanted" || fail "other records: $(diff "$dir/got" "$dir/wanted" | cut -c1-80 | head -3)"
grep -q -i requeu "$dir/slurmctld.log" || fail "no shard was queued again"
grep -q 'ended with status 137' "$dir"/all.jsonl.?-of-4.log || fail "the killed shard did not queue itself again"
echo "ok a_lost_node_costs_a_cluster_batch_nothing"
echo "1 passed, 0 failed, 0 skipped"
