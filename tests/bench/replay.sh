#!/usr/bin/env bash
# Replays real logs at full speed: one hub, one adapter a log, one after the other; prints events, seconds and events/s of each.
#
#   tests/bench/replay.sh [--reps 3] [--build build]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
reps=3 build=$here/../../build
while [ $# -gt 0 ]; do
  case $1 in
    --reps) reps=$2; shift 2 ;;
    --build) build=$2; shift 2 ;;
    -h | --help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "replay.sh: there is no option '$1'; see --help" >&2; exit 2 ;;
  esac
done
build=$(cd "$build" && pwd)

work=$(mktemp -d "${TMPDIR:-/tmp}/casebus-replay.XXXXXX")
hub=
cleanup() {
  if [ -n "$hub" ]; then kill "$hub" 2>/dev/null || true; wait "$hub" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

replay() { # LOG CONFIG: a fresh hub, the log through one adapter
  local log=$1 config=$2 from to
  rm -rf "$work/hub" "$work/node"
  "$build/bin/casebus-hub" init "$work/hub" --origin bench.example/exchange/1 --listen "tcp://127.0.0.1:$(free_port)" >/dev/null
  "$build/bin/casebus-hub" run "$work/hub" 2>>"$work/hub.log" & hub=$!
  for _ in $(seq 200); do [ -S "$work/hub/hub.sock" ] && break; sleep 0.05; done
  "$build/bin/casebus" --hub "$work/hub" node add replay --department bench --area 320100 --publish --out "$work/node" >/dev/null
  from=$(date +%s%N)
  "$build/bin/casebus-adapter" run "$here/$config" --once --set node="$work/node" --set source.file="$here/../data/logs/$log.events.csv.gz" \
    >"$work/out" 2>&1 || { tail -3 "$work/out" >&2; exit 1; }
  to=$(date +%s%N)
  python3 - "$log" "$from" "$to" "$(grep -o 'accepted=[0-9]*' "$work/out" | tail -1)" <<'PY'
import sys
log, begun, ended, accepted = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4].split("=")[1])
seconds = (ended - begun) / 1e9
print(f"{log}: {accepted:,} events accepted in {seconds:.2f} s, {accepted / seconds:,.0f} a second, process start included", flush=True)
PY
  kill "$hub"; wait "$hub" || true; hub=
}

for _ in $(seq "$reps"); do
  replay bpic15_1 bpic15.yaml
  replay bpic15_3 bpic15.yaml
  replay road_fines_tenth road_fines.yaml
done
