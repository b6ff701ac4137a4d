#!/usr/bin/env bash
# The long run against a hub that runs: random frames and changed ones, beside eight honest adapters. Minutes, not seconds.
#
#   tests/hostile/long.sh [--random 10000] [--changed 1000000] [--build build]
#
# The seed is printed; CASEBUS_SEED sets it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
random=10000 changed=1000000 build=$(cd "$here/../.." && pwd)/build
while [ $# -gt 0 ]; do
    case $1 in
    --random) random=$2; shift 2 ;;
    --changed) changed=$2; shift 2 ;;
    --build) build=$2; shift 2 ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "long.sh: there is no option '$1'; see --help" >&2; exit 2 ;;
    esac
done
export CASEBUS_PATIENCE=${CASEBUS_PATIENCE:-1800} # the ledger that is verified in the end has a million entries
CASEBUS_BUILD=$build CASEBUS_RANDOM_FRAMES=$random CASEBUS_MUTATIONS=$changed exec python3 -B "$here/hostile_test.py" -v Rubbish
