#!/bin/bash
# Verifies a checkpoint's (or any signed note's) Ed25519 log signature with openssl alone; coreutils, xxd and python3 take the text apart.
#   verify-checkpoint.sh VKEY CHECKPOINT
set -eu
vkey=$1; f=$2; name=${vkey%%+*}; rest=${vkey#*+}; id=${rest%%+*}; key=${rest#*+}
w=$(mktemp -d); trap 'rm -rf "$w"' EXIT
printf %s "$key" | base64 -d >"$w/tk"
if [ "$(stat -c %s "$w/tk")" != 33 ] || [ "$(head -c1 "$w/tk" | xxd -p)" != 01 ]; then echo "not an Ed25519 note vkey"; exit 2; fi
[ "$( { printf '%s\n' "$name"; cat "$w/tk"; } | sha256sum | cut -c1-8)" = "$id" ] || { echo "vkey id mismatch"; exit 2; }
{ printf '302a300506032b6570032100' | xxd -r -p; tail -c32 "$w/tk"; } >"$w/pub.der"
python3 - "$f" "$name" "$id" "$w" <<'P'
import sys,base64
f,name,kid,w=sys.argv[1:5]; b=open(f,'rb').read()
i=b.rfind(b'\n\n'); assert i>=0,'no signatures'
open(w+'/text','wb').write(b[:i+1])
for l in b[i+2:].split(b'\n'):
    p=l.decode().split(' ')
    if len(p)==3 and p[0]=='\u2014' and p[1]==name:
        s=base64.b64decode(p[2],validate=True)
        if s[:4].hex()==kid: open(w+'/sig','wb').write(s[4:]); break
else: sys.exit('no line of that key')
P
openssl pkeyutl -verify -pubin -inkey "$w/pub.der" -keyform DER -rawin -in "$w/text" -sigfile "$w/sig"
