#!/usr/bin/env bash
# Faults at length: at least 10,000 power cuts of a hub, every n of each sweep, many bits. Takes an hour or two on two
# processors; stops at the first thing that is wrong. Every program prints its seed; CASEBUS_SEED sets it for all.
#   CASEBUS_BUILD=build tests/sim/long.sh [TIMES]     TIMES: that much more of all that is counted (1)
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
times=${1:-1}

run() {
    local program=$1
    shift
    nice python3 -B "$here/$program" "$@"
}

run log_cuts.py $((20000 * times))
run hub_cuts.py $((10000 * times))
run site_cuts.py $((200 * times))
run backup_cuts.py $((1000 * times))
run sweep.py 1
run hub_sweep.py all
run hub_sweep.py $((200 * times)) # memory, too
run bits.py $((50000 * times))
CASEBUS_SWEEP=all run ../e2e/erasure_test.py Crash # a kill at each write
run full_test.py
