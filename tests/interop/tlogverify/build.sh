#!/bin/sh
# Builds bin/tlogverify and bin/mklog, offline, with Debian's golang-go and golang-golang-x-mod-dev.
# BIN names another folder for the binaries (default: bin/ beside this script).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bin=${BIN:-$here/bin}
[ -d /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog ] || { echo "apt-get install golang-go golang-golang-x-mod-dev" >&2; exit 2; }
export GOCACHE="${GOCACHE:-/tmp/gocache}" GOPROXY=off GOFLAGS="" CGO_ENABLED=0 GO111MODULE=off
w=$(mktemp -d); trap 'rm -rf "$w"' EXIT
mkdir -p "$bin" "$w/src/tv"; cp -r "$here/cmd" "$w/src/tv/"
export GOPATH="$w:/usr/share/gocode"
cd "$w/src/tv"
go build -o "$bin/" ./cmd/tlogverify ./cmd/mklog
ls -l "$bin"
