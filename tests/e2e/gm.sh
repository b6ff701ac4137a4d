#!/usr/bin/env bash
# All end-to-end tests with hubs of the suite gm, those that CI runs in that suite and the others:
#
#   tests/e2e/gm.sh [BUILD] [NAME_test ...]
#
# Takes a quarter of an hour on two cores; ends with the names of those that failed. What these tests cannot do in
# that suite they skip by themselves.
set -u
here=$(cd "$(dirname "$0")" && pwd)
export CASEBUS_SUITE=gm CASEBUS_BUILD
CASEBUS_BUILD=$(cd "${1:-$here/../../build}" && pwd) || exit 2
[ $# -eq 0 ] || shift
names=("$@")
[ $# -gt 0 ] || names=("$here"/*_test.py "$here/../interop/two_verifiers_test.py")
failed=()
for name in "${names[@]}"; do
    name=$(basename "$name" .py)
    program=$here/$name.py
    [ -e "$program" ] || program=$here/../interop/$name.py
    from=$SECONDS
    tests=()
    case $name in two_verifiers_test) tests=(FilesOfARealHub FilesOfARestoredHub FilesOfAWitnessedHub) ;; esac # others: files of intl
    if python3 -B "$program" "${tests[@]}" >"$CASEBUS_BUILD/gm.log" 2>&1; then
        echo "ok      $((SECONDS - from)) s  $name"
    else
        echo "FAILED  $((SECONDS - from)) s  $name"
        tail -n 40 "$CASEBUS_BUILD/gm.log"
        failed+=("$name")
    fi
done
echo "failed: ${failed[*]:-none}"
[ ${#failed[@]} -eq 0 ]
