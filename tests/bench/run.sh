#!/usr/bin/env bash
# Measures casebus beside Redis Streams (appendfsync always) and PostgreSQL in one run, on loopback, and prints medians and ratios.
#
#   tests/bench/run.sh [--reps 3] [--events 200000] [--peers casebus,redis,postgres] [--modes pub,e2e,lat1,rate5k,restart] [--suite intl|gm]
#                      [--build build]
#
# Needs the packages redis-server libhiredis-dev postgresql libpq-dev for the peers; PostgreSQL runs as user postgres, so its part needs root.
# Servers are started here on unusual ports and ended by their own process ids; their files lie under a fresh directory of TMPDIR.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
reps=3 events=200000 peers=casebus,redis,postgres modes=pub,e2e,lat1,rate5k suite=intl build=$root/build
while [ $# -gt 0 ]; do
  case $1 in
    --reps) reps=$2; shift 2 ;;
    --events) events=$2; shift 2 ;;
    --peers) peers=$2; shift 2 ;;
    --modes) modes=$2; shift 2 ;;
    --suite) suite=$2; shift 2 ;; # of casebus
    --build) build=$2; shift 2 ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "run.sh: there is no option '$1'; see --help" >&2; exit 2 ;;
  esac
done
build=$(cd "$build" && pwd)

work=$(mktemp -d "${TMPDIR:-/tmp}/casebus-bench.XXXXXX")
results=$work/results.jsonl
server=
stop_server() { # [signal]
  [ -n "$server" ] || return 0
  kill "-${1:-TERM}" "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=
}
cleanup() { stop_server KILL; rm -rf "$work"; }
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '%s\n' "$*" >&2; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wants() { case ",$2," in *",$1,"*) return 0 ;; *) return 1 ;; esac; }

# ---- casebus ----
casebus_target=$work/casebus
casebus_spawn() {
  rm -f "$casebus_target/hub/hub.sock"
  "$build/bin/casebus-hub" run "$casebus_target/hub" 2>>"$work/casebus.log" & server=$!
  for _ in $(seq 600); do
    [ -S "$casebus_target/hub/hub.sock" ] && return 0
    kill -0 "$server" 2>/dev/null || { tail -3 "$work/casebus.log" >&2; return 1; }
    sleep 0.05
  done
}
casebus_fresh() {
  local i
  stop_server KILL; rm -rf "$casebus_target"; mkdir -p "$casebus_target"
  "$build/bin/casebus-hub" init "$casebus_target/hub" --origin bench.example/exchange/1 --listen "tcp://127.0.0.1:$(free_port)" --suite "$suite" >/dev/null
  casebus_spawn
  for i in 0 1 2 3 4 5 6 7; do
    "$build/bin/casebus" --hub "$casebus_target/hub" node add "p$i" --department bench --area 320100 --publish --out "$casebus_target/p$i" >/dev/null
  done
  "$build/bin/casebus" --hub "$casebus_target/hub" node add c --department bench --area 320100 --receive-all --parts other --out "$casebus_target/c" >/dev/null
}

# ---- redis ----
redis_port=$(free_port)
redis_target=127.0.0.1:$redis_port
redis_spawn() {
  redis-server --bind 127.0.0.1 --port "$redis_port" --dir "$work/redis" --save '' --appendonly yes --appendfsync always \
    --auto-aof-rewrite-percentage 0 --loglevel warning --daemonize no >"$work/redis.log" 2>&1 & server=$!
  for _ in $(seq 200); do redis-cli -p "$redis_port" ping >/dev/null 2>&1 && return 0; sleep 0.05; done
}
redis_fresh() { stop_server KILL; rm -rf "$work/redis"; mkdir -p "$work/redis"; redis_spawn; }

# ---- postgres ----
postgres_port=$(free_port)
postgres_target="host=127.0.0.1 port=$postgres_port user=postgres dbname=postgres connect_timeout=5"
postgres_bin=$(pg_config --bindir 2>/dev/null || true)
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
exec_as_postgres() { exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"; } # in the background: $! is the server
postgres_spawn() {
  exec_as_postgres "$postgres_bin/postgres" -D "$work/postgres" -p "$postgres_port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c shared_buffers=256MB -c max_wal_size=2GB -c synchronous_commit=on >"$work/postgres.log" 2>&1 & server=$!
  for _ in $(seq 200); do "$postgres_bin/pg_isready" -q -h 127.0.0.1 -p "$postgres_port" && return 0; sleep 0.05; done
}
postgres_fresh() {
  stop_server INT; rm -rf "$work/postgres"; mkdir -p "$work/postgres"; chmod 755 "$work"; chown postgres "$work/postgres"
  (cd /tmp && as_postgres "$postgres_bin/initdb" -A trust -D "$work/postgres" >/dev/null)
  postgres_spawn
}

measure() { # PEER MODE arguments...
  local peer=$1 mode=$2 target; shift 2
  target=${peer}_target
  local line
  line=$(timeout 600 "$build/bench/bench_$peer" --mode "$mode" --target "${!target}" --server "$server" "$@")
  printf '%s\n' "$line" | tee -a "$results" >&2
}

run_peer() {
  local i
  local peer=$1
  if wants pub "$modes"; then "${peer}_fresh"; measure "$peer" pub --events "$events" --no-consume; fi
  if wants e2e "$modes"; then "${peer}_fresh"; measure "$peer" e2e --events "$events"; fi
  if wants lat1 "$modes"; then "${peer}_fresh"; measure "$peer" lat1 --events 5000 --window 1 --producers 1; fi
  if wants rate5k "$modes"; then "${peer}_fresh"; measure "$peer" rate5k --events 50000 --rate 5000; fi
}

restart_peer() { # 1M stored events, KILL, time until it answers with the last one
  local peer=$1 target=${1}_target
  "${peer}_fresh"; measure "$peer" fill --events 1000000 --no-consume --max 900
  for _ in $(seq "$reps"); do
    stop_server KILL
    local from to
    from=$(date +%s%N)
    "${peer}_spawn"
    timeout 300 "$build/bench/bench_$peer" --mode probe --target "${!target}" --probe 1000000 >/dev/null
    to=$(date +%s%N)
    printf '{"peer":"%s","mode":"restart","ready_s":%s}\n' "$peer" "$(python3 -c "print(($to - $from) / 1e9)")" | tee -a "$results" >&2
  done
}

for peer in ${peers//,/ }; do
  [ -x "$build/bench/bench_$peer" ] || { say "run.sh: $build/bench/bench_$peer is missing: cmake --build $build --target bench"; exit 1; }
done
# Peers in turn within each repetition: a drift of the machine meets all of them.
for i in $(seq "$reps"); do
  for peer in ${peers//,/ }; do say "# $peer, repetition $i of $reps"; run_peer "$peer"; done
done
if wants restart "$modes"; then
  for peer in ${peers//,/ }; do say "# $peer, restart"; restart_peer "$peer"; done
fi
stop_server
python3 "$here/summarize.py" "$results"
[ -z "${KEEP_RESULTS:-}" ] || cp "$results" "$KEEP_RESULTS"
