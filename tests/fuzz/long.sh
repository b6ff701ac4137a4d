#!/usr/bin/env bash
# Fuzzes each target for an hour, or for as long as it is told, one after the other.
#
#   tests/fuzz/long.sh [SECONDS] [TARGET...]        such as: tests/fuzz/long.sh 60 frame note
#
# Builds the preset `fuzz` (clang, libFuzzer, ASan, UBSan) into build-fuzz. What is found stays in build-fuzz/found/TARGET; what was
# learnt stays in build-fuzz/corpus/TARGET, for the next time. Ends with 1 when something was found.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
seconds=3600
case ${1:-} in
-h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
[0-9]*) seconds=$1; shift ;;
esac
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for file in "$here"/*_fuzz.c "$root"/adapters/*/*_fuzz.c; do targets+=("$(basename "$file" _fuzz.c)"); done
fi

cd "$root"
cmake --preset fuzz -DBUILD_TESTING=OFF >/dev/null
ninja -C build-fuzz --quiet "${targets[@]/%/_fuzz}"

failed=()
for target in "${targets[@]}"; do
    seeds=$here/seeds/$target
    [ -d "$seeds" ] || seeds=$root/adapters/$target/seeds
    mkdir -p "build-fuzz/corpus/$target" "build-fuzz/found/$target"
    printf '== %s: %s s\n' "$target" "$seconds"
    "build-fuzz/tests/${target}_fuzz" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="build-fuzz/found/$target/" "build-fuzz/corpus/$target" "$seeds" >"build-fuzz/$target.log" 2>&1 || failed+=("$target")
    grep -E '^stat::(number_of_executed_units|average_exec_per_sec|new_units_added)|ERROR: |SUMMARY: ' "build-fuzz/$target.log" || true
done
for target in "${failed[@]}"; do printf 'found something: %s, see build-fuzz/%s.log and build-fuzz/found/%s\n' "$target" "$target" "$target"; done
[ ${#failed[@]} -eq 0 ]
