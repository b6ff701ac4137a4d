#!/usr/bin/env python3
"""Checks vectors.json with code that shares nothing with casebus but the schema: Python, protoc, hashlib and
python3-cryptography. It is also an example of every formula in docs/protocol.md.

usage: check_vectors.py SOURCE_DIR        exit 0: all agree, 1: not, 77: packages are missing
"""
import base64
import hashlib
import hmac
import importlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

SKIP = 77

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    import google.protobuf  # noqa: F401
except ImportError as missing:
    print(f"skipped: {missing}; install python3-cryptography and python3-protobuf")
    sys.exit(SKIP)

failures = []


def claim(what, holds):
    if not holds:
        failures.append(what)
        print(f"FAILED: {what}")


def unhex(text):
    return bytes.fromhex(text)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def label(text):
    return text.encode() + b"\0"


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


# --- RFC 6962 ---------------------------------------------------------------------------------------------


def leaf_hash(entry):
    return sha256(b"\0", entry)


def node_hash(left, right):
    return sha256(b"\1", left, right)


def tree_root(leaves):
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(tree_root(leaves[:split]), tree_root(leaves[split:]))


def inclusion_root(index, size, leaf, path):
    """RFC 9162 2.1.3.2"""
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return r if sn == 0 else None


def consistent(old_size, new_size, old_root, new_root, proof):
    """RFC 9162 2.1.4.2"""
    proof = list(proof)
    if old_size & (old_size - 1) == 0:
        proof.insert(0, old_root)
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for c in proof[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr == old_root and sr == new_root and sn == 0


# --- the wire format ----------------------------------------------------------------------------------------


def fields(data):
    """Yields (field number, its bytes with tag) of a message."""

    def varint(at):
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not data[at - 1] & 0x80:
                return value, at

    at = 0
    while at < len(data):
        start = at
        tag, at = varint(at)
        if tag & 7 == 0:
            _, at = varint(at)
        elif tag & 7 == 1:
            at += 8
        elif tag & 7 == 2:
            size, at = varint(at)
            at += size
        elif tag & 7 == 5:
            at += 4
        else:
            raise ValueError("wire type")
        yield tag >> 3, data[start:at]


# --- the claims ---------------------------------------------------------------------------------------------


def check_key(v):
    key = v["key"]
    private = Ed25519PrivateKey.from_private_bytes(unhex(key["seed"]))
    try:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    except TypeError:
        public = b""
    claim("public key", public == unhex(key["public"]))
    claim("key id", sha256(b"\x01", public)[:16] == unhex(key["id"]))
    name = key["vkey"].split("+")[0]
    tail = base64.b64decode(key["vkey"].split("+", 2)[2])
    claim("vkey", tail == b"\x01" + public)
    claim("vkey hash", sha256(name.encode(), b"\n", tail)[:4].hex() == key["vkey"].split("+")[1])


def check_signature(v, what, statement, signature):
    try:
        Ed25519PublicKey.from_public_bytes(unhex(v["key"]["public"])).verify(signature, statement)
    except InvalidSignature:
        claim(f"signature of {what}", False)


def check_event(schema, event):
    what = event["what"]
    header = unhex(event["header"])
    decoded = schema.event.EventHeader.FromString(header)
    claim(f"{what}: header packs as it came", decoded.SerializeToString(deterministic=True) == header)
    claim(f"{what}: kind", schema.event.Kind.Name(decoded.kind) == "KIND_" + event["kind"].upper())
    claim(f"{what}: record id", decoded.record_id == event["record_id"])
    claim(f"{what}: number of parts", len(decoded.commitment) == len(event["parts"]))
    for commitment, part in zip(decoded.commitment, event["parts"]):
        content = unhex(part["content"])
        computed = mac(unhex(part["salt"]), content)
        claim(f"{what}: commitment", computed == unhex(part["commitment"]) == commitment.mac)
        claim(f"{what}: size", commitment.size == len(content))
        kind = schema.event.PartKind.Name(commitment.kind)
        claim(f"{what}: part kind", kind == "PART_KIND_" + part["kind"].upper())
    claim(f"{what}: event hash", sha256(label("casebus/v1/event"), header) == unhex(event["event_hash"]))

    kept = b"".join(raw for number, raw in fields(header) if number not in (1, 22))
    digest = sha256(label("casebus/v1/header"), kept)
    claim(f"{what}: header digest", digest == unhex(event["header_digest"]))
    message = [label("casebus/v1/content"), digest]
    for commitment, part in zip(decoded.commitment, event["parts"]):
        content = unhex(part["content"])
        message += [struct.pack(">II", commitment.kind, len(content)), content]
    claim(f"{what}: content digest",
          mac(unhex(event["content_key"]), *message) == unhex(event["content_digest"]))


def check_events(schema, v):
    for event in v["events"]:
        check_event(schema, event)
    first, again, other = v["events"]
    claim("a resent record has another event hash", first["event_hash"] != again["event_hash"])
    claim("a resent record has the same content digest", first["content_digest"] == again["content_digest"])
    claim("another record has another content digest", first["content_digest"] != other["content_digest"])


def check_batches(schema, v):
    previous, number = bytes(32), 1
    for i, batch in enumerate(v["batches"]):
        what = f"batch {i}"
        raw = unhex(batch["statement"])
        statement = schema.batch.BatchStatement.FromString(raw)
        hashes = [unhex(h) for h in batch["event_hashes"]]
        root = tree_root([leaf_hash(h) for h in hashes])
        claim(f"{what}: begins with its context", raw.startswith(b"\x0a\x10casebus/v1/batch"))
        claim(f"{what}: events root", root == unhex(batch["events_root"]) == statement.events_root)
        claim(f"{what}: previous", previous == unhex(batch["previous"]) == statement.previous)
        claim(f"{what}: numbers",
              (statement.first, statement.count, batch["first"]) == (number, len(hashes), number))
        claim(f"{what}: key id", statement.key_id == unhex(v["key"]["id"]))
        claim(f"{what}: packs as it came", statement.SerializeToString(deterministic=True) == raw)
        check_signature(v, what, raw, unhex(batch["signature"]))
        previous = sha256(label("casebus/v1/statement"), raw)
        claim(f"{what}: statement hash", previous == unhex(batch["statement_hash"]))
        number += len(hashes)


def check_publish(schema, v):
    frame = schema.session.Frame.FromString(unhex(v["publish_frame"]))
    batch = frame.publish.batch
    claim("frame: is a publish", frame.WhichOneof("body") == "publish")
    claim("frame: statement", batch.statement == unhex(v["batches"][0]["statement"]))
    claim("frame: signature", batch.signature == unhex(v["batches"][0]["signature"]))
    hashes = [sha256(label("casebus/v1/event"), event.header).hex() for event in batch.event]
    claim("frame: events", hashes == v["batches"][0]["event_hashes"])


def check_enrolment(schema, v):
    raw = unhex(v["enrolment"]["statement"])
    enrolment = schema.ledger.EnrolmentStatement.FromString(raw)
    claim("enrolment: begins with its context", raw.startswith(b"\x0a\x14casebus/v1/enrolment"))
    claim("enrolment: public key", enrolment.public_key == unhex(v["key"]["public"]))
    check_signature(v, "enrolment", raw, unhex(v["enrolment"]["signature"]))


def check_session(v):
    s = v["session"]
    message = (label("casebus/v1/session") + unhex(s["nonce"]) + unhex(s["hub_curve_key"]) + unhex(s["node_curve_key"]) +
               label(s["origin"]) + label(s["node"]))
    check_signature(v, "session", message, unhex(s["proof"]))


def check_confirm(schema, v):
    running = bytes(32)
    for delivery in v["confirm"]["deliveries"]:
        running = sha256(label("casebus/v1/delivered"), running,
                         struct.pack(">QI", delivery["position"], delivery["ordinal"]),
                         unhex(delivery["event_hash"]))
        claim("confirm: running hash", running == unhex(delivery["running_hash"]))
    raw = unhex(v["confirm"]["statement"])
    statement = schema.session.ConfirmStatement.FromString(raw)
    claim("confirm: begins with its context", raw.startswith(b"\x0a\x12casebus/v1/confirm"))
    claim("confirm: says the running hash", statement.running_hash == running)
    claim("confirm: says the last delivery", statement.last.position == delivery["position"])
    check_signature(v, "confirm", raw, unhex(v["confirm"]["signature"]))


def check_ledger(schema, v):
    leaves = []
    for entry in v["ledger"]:
        raw = unhex(entry["entry"])
        decoded = schema.ledger.LedgerEntry.FromString(raw)
        claim(f"{entry['what']}: packs as it came", decoded.SerializeToString(deterministic=True) == raw)
        leaves.append(leaf_hash(raw))
        claim(f"{entry['what']}: leaf hash", leaves[-1] == unhex(entry["leaf_hash"]))
    tree = v["tree"]
    root = tree_root(leaves)
    claim("tree: size", tree["size"] == len(leaves))
    claim("tree: root", root == unhex(tree["root"]))
    at = tree["inclusion"]["position"]
    path = [unhex(h) for h in tree["inclusion"]["path"]]
    claim("tree: inclusion", inclusion_root(at, len(leaves), leaves[at], path) == root)
    old = tree["consistency"]["from_size"]
    old_root = unhex(tree["consistency"]["from_root"])
    claim("tree: old root", tree_root(leaves[:old]) == old_root)
    proof = [unhex(h) for h in tree["consistency"]["proof"]]
    claim("tree: consistency", consistent(old, len(leaves), old_root, root, proof))


def check_note(v):
    text, _, signatures = v["tree"]["note"].partition("\n\n")
    origin, size, root = text.split("\n")
    name = v["key"]["vkey"].split("+")[0]
    claim("note: origin", origin == name)
    claim("note: size", size == str(v["tree"]["size"]))
    claim("note: root", base64.b64decode(root) == unhex(v["tree"]["root"]))
    dash, who, signature = signatures.rstrip("\n").split(" ")
    raw = base64.b64decode(signature)
    claim("note: signature line", (dash, who) == ("\u2014", name))
    claim("note: key hash", raw[:4].hex() == v["key"]["vkey"].split("+")[1])
    check_signature(v, "note", (text + "\n").encode(), raw[4:])


def unseal(key, associated, sealed):
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], associated)


def check_body(schema, v):
    vector = v["body"]
    body = schema.ledger.SealedBody.FromString(unhex(vector["body"]))
    subject = unhex(vector["subject"])
    place = label(vector["origin"]) + subject
    key = unseal(unhex(vector["slot_key"]), label("casebus/v1/wrap") + place, body.wrapped_key)
    claim("body: wrapped key", body.wrapped_key == unhex(vector["wrapped_key"]))
    claim("body: associated data of the key", unhex(vector["wrap_associated"]) == label("casebus/v1/wrap") + place)
    claim("body: single-use key", key == unhex(vector["key"]))
    for i, (sealed, item) in enumerate(zip(body.item, vector["items"])):
        associated = label("casebus/v1/body") + place + struct.pack(">I", i)
        claim("body: associated data", associated == unhex(item["associated"]))
        claim("body: sealed item", sealed == unhex(item["sealed"]))
        claim("body: nonce", sealed[:12] == i.to_bytes(12, "big"))
        claim("body: item", unseal(key, associated, sealed) == unhex(item["plain"]))
    claim("body: item 0 is the header it is about",
          sha256(label("casebus/v1/event"), unhex(vector["items"][0]["plain"])) == subject)


class Schema:
    def __init__(self, source, directory):
        names = ["common", "event", "batch", "session", "ledger"]
        paths = [f"proto/casebus/v1/{name}.proto" for name in names]
        subprocess.run(["protoc", f"--proto_path={source}", f"--python_out={directory}", *paths], check=True,
                       stderr=subprocess.DEVNULL)
        sys.path.insert(0, directory)
        for name in names:
            setattr(self, name, importlib.import_module(f"proto.casebus.v1.{name}_pb2"))


def main():
    if not shutil.which("protoc"):
        print("skipped: protoc is missing; install protobuf-compiler")
        return SKIP
    source = sys.argv[1]
    with open(os.path.join(source, "tests/interop/vectors.json"), encoding="utf-8") as file:
        v = json.load(file)
    with tempfile.TemporaryDirectory() as directory:
        schema = Schema(source, directory)
        check_key(v)
        check_events(schema, v)
        check_batches(schema, v)
        check_publish(schema, v)
        check_enrolment(schema, v)
        check_session(v)
        check_confirm(schema, v)
        check_ledger(schema, v)
        check_note(v)
        check_body(schema, v)
    print(f"{len(failures)} claims failed" if failures else "all vectors agree")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
