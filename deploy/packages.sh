# The Debian packages that casebus needs, in one place, and how to get those that are missing.
# Sourced by quickstart and check; Debian 12 names.
# shellcheck shell=bash disable=SC2034

packages_build=(
    gcc libc6-dev cmake ninja-build pkg-config protobuf-c-compiler gettext
    libzmq3-dev libprotobuf-c-dev liblmdb-dev libssl-dev libuv1-dev libmicrohttpd-dev
    libfyaml-dev libjansson-dev libexpat1-dev libcsv-dev libcurl4-openssl-dev zlib1g-dev
    libbsd-dev libp11-kit-dev
)
# What quickstart itself uses.
packages_run=(gzip jq)
packages_test=(
    libcmocka-dev clang libclang-rt-14-dev clang-format clang-tidy shellcheck curl procps util-linux openssl softhsm2
    golang-go golang-golang-x-mod-dev xxd
    python3 python3-cryptography python3-protobuf protobuf-compiler
)

# packages_missing NAME...: those that are not installed, a line each.
packages_missing() {
    local installed
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | sed -n 's/ installed$//p' || true)
    printf '%s\n' "$@" | sort -u | grep -vxF -e "${installed:-/}" || true
}

packages_as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# packages_install NAME...: installs what is missing, quietly; what apt said is shown when it failed.
packages_install() {
    local missing log
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "This is no Debian: install the equivalents of $* yourself, then use --no-install." >&2
        return 1
    fi
    mapfile -t missing < <(packages_missing "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        echo "These packages are missing, and there is no sudo: run as root: apt-get install ${missing[*]}" >&2
        return 1
    fi
    log=$(mktemp)
    if packages_as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y update >"$log" 2>&1 </dev/null &&
        packages_as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
            "${missing[@]}" >>"$log" 2>&1 </dev/null; then
        rm -f "$log"
        return 0
    fi
    tail -n 20 "$log" >&2
    echo "apt could not install: ${missing[*]} (all that it said: $log)" >&2
    return 1
}
