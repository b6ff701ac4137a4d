#!/usr/bin/env python3
"""A second verifier of casebus evidence files, written from docs/ledger.md alone.

    verify_evidence.py FILE --trust CA.pem,VKEY|enrolment.json [--trust ...] [--witness VKEY]... [--quorum N]

Prints one JSON object as `casebus verify --json` does. Exit code 0: proved, 1: not proved, 2: usage. Needs python3-cryptography
for Ed25519 and X.509 (SM2 is in sm2.py); no code and no schema is shared with casebus.
"""
import argparse
import base64
import binascii
import calendar
import hashlib
import hmac
import json
import os
import re
import struct
import sys
import unicodedata

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sm2  # noqa: E402

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from cryptography.x509.oid import ExtensionOID, NameOID
except ImportError as missing:
    print(f"skipped: {missing}; install python3-cryptography", file=sys.stderr)
    sys.exit(77)

MAGIC = b"casebus evidence 1\n"
FILE_MAX = 16 << 20


class NotProved(Exception):
    """Carries the code and the sentence."""

    def __init__(self, sentence, code="CB-MALFORMED"):
        super().__init__(sentence)
        self.code = code


def need(holds, sentence, code="CB-BAD-FIELD"):
    if not holds:
        raise NotProved(sentence, code)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


HASHES = {1: sha256, 2: sm2.sm3}  # of the suites
HASH_NAMES = {1: "sha256", 2: "sm3"}
KEY_SIZES = {1: 32, 2: 64}


# --- Protocol Buffers, read strictly ----------------------------------------------------------------------------------

# A message: field number -> (name, type, repeated). Types: u32, u64, i64, enum, bool, fixed64, text, bytes, or a message.
# Members of a oneof are named in ONEOF.
class Message:
    def __init__(self, name, fields, oneofs=()):
        self.name = name
        self.fields = {number: (key, kind, bool(flags)) for number, key, kind, *flags in fields}
        self.oneofs = [set(oneof) for oneof in oneofs]


R = True
RECEIVER = Message("Receiver", [(1, "node", "text"), (2, "part_mask", "u32"), (3, "rule", "u32"), (4, "questions", "u32"),
                                (5, "retracts", "bool")])
EVENT_ENTRY = Message("EventEntry", [(1, "node", "text"), (2, "stream", "fixed64"), (3, "number", "u64"), (4, "event_hash", "bytes"),
                                     (5, "case_id", "bytes"), (6, "receiver", RECEIVER, R), (7, "released_from", "u64"), (8, "rule", "u32"),
                                     (9, "replaces", "u64")])
SEAL_OUTCOME = Message("SealOutcome", [(1, "index", "u32"), (2, "event_hash", "bytes"), (3, "duplicate_of", "u64"), (4, "code", "text")])
SEAL_ENTRY = Message("SealEntry", [(1, "statement", "bytes"), (2, "signature", "bytes"), (3, "outcome", SEAL_OUTCOME, R)])
LEDGER_OPENED = Message("LedgerOpened", [(1, "origin", "text"), (2, "log_key", "text"), (3, "authority", "bytes"), (4, "software", "text"),
                                         (5, "previous_origin", "text"), (6, "previous_checkpoint", "bytes")])
GRANTS = Message("Grants", [(1, "publish", "bool"), (2, "receive_all", "bool"), (3, "receive_part_kind", "u32", R)])
NODE_ENROLLED = Message("NodeEnrolled", [(1, "statement", "bytes"), (2, "signature", "bytes"), (3, "certificate", "bytes"),
                                         (4, "grants", GRANTS), (5, "previous_signature", "bytes"), (6, "invitation", "bytes"),
                                         (7, "subject", "bytes")])
QUARANTINED = Message("Quarantined", [(1, "node", "text"), (2, "code", "text"), (3, "subject", "bytes"), (4, "size", "u32"),
                                      (5, "whole_batch", "bool")])
SIGNED_CONFIRM = Message("SignedConfirm", [(1, "statement", "bytes"), (2, "signature", "bytes")])
DELIVERIES_CONFIRMED = Message("DeliveriesConfirmed", [(1, "confirm", SIGNED_CONFIRM, R)])
ERASED_CONTENT = Message("ErasedContent", [(1, "position", "u64"), (2, "header", "bool"), (3, "part_mask", "u32")])
ERASURE_ORDERED = Message("ErasureOrdered", [(1, "reason", "enum"), (2, "subject", "bytes"), (3, "case_id", "bytes"),
                                             (4, "content", ERASED_CONTENT, R), (5, "receiver", RECEIVER, R), (6, "slot", "u64", R),
                                             (7, "kept_slot", "u64")])
ERASURE_DONE = Message("ErasureDone", [(1, "ordered", "u64", R)])
ACTS = {1: "ledger_opened", 2: "node_enrolled", 3: "quarantined", 4: "deliveries_confirmed", 5: "node_invited",
        6: "node_status_changed", 7: "hub_keys_changed", 8: "quarantine_decided", 60: "erasure_ordered", 61: "erasure_done",
        80: "policy_applied"}
NODE_INVITED = Message("NodeInvited", [(1, "invitation", "bytes"), (2, "node", "text"), (3, "department", "text"), (4, "area", "text"),
                                       (5, "grants", GRANTS), (6, "automatic", "bool"), (7, "expires_at_us", "i64"), (8, "subject", "bytes")])
HUB_KEYS_CHANGED = Message("HubKeysChanged", [(1, "statement", "bytes"), (2, "signature", "bytes"), (3, "authority_signature", "bytes")])
HUB_KEYS_STATEMENT = Message("HubKeysStatement", [(1, "context", "text"), (2, "suite", "enum"), (3, "origin", "text"), (4, "number", "u64"),
                                                  (5, "authority", "bytes"), (6, "curve_key", "bytes"), (7, "curve_from_us", "i64"),
                                                  (8, "authority_before", "bytes")])
QUARANTINE_DECIDED = Message("QuarantineDecided", [(1, "quarantined", "u64"), (2, "decision", "enum"), (3, "subject", "bytes")])
POLICY_APPLIED = Message("PolicyApplied", [(1, "version", "u32"), (2, "digest", "bytes"), (3, "grants", "u32"), (4, "subject", "bytes")])
NODE_STATUS_CHANGED = Message("NodeStatusChanged", [(1, "node", "text"), (2, "status", "enum"), (3, "key_id", "bytes", R),
                                                    (4, "compromised_since_us", "i64"), (5, "subject", "bytes")])
ACT_ENTRY = Message("ActEntry", [(1, "ledger_opened", LEDGER_OPENED), (2, "node_enrolled", NODE_ENROLLED), (3, "quarantined", QUARANTINED),
                                 (4, "deliveries_confirmed", DELIVERIES_CONFIRMED),
                                 (5, "node_invited", NODE_INVITED), (6, "node_status_changed", NODE_STATUS_CHANGED),
                                 (7, "hub_keys_changed", HUB_KEYS_CHANGED), (8, "quarantine_decided", QUARANTINE_DECIDED),
                                 (80, "policy_applied", POLICY_APPLIED), (60, "erasure_ordered", ERASURE_ORDERED),
                                 (61, "erasure_done", ERASURE_DONE)], [ACTS])
LEDGER_ENTRY = Message("LedgerEntry", [(1, "format", "u32"), (2, "suite", "enum"), (3, "hub_time_us", "i64"), (4, "event", EVENT_ENTRY),
                                       (5, "seal", SEAL_ENTRY), (6, "act", ACT_ENTRY)], [{4, 5, 6}])
BATCH_STATEMENT = Message("BatchStatement", [(1, "context", "text"), (2, "suite", "enum"), (3, "origin", "text"), (4, "node", "text"),
                                             (5, "key_id", "bytes"), (6, "stream", "fixed64"), (7, "first", "u64"), (8, "count", "u32"),
                                             (9, "events_root", "bytes"), (10, "previous", "bytes")])
ENROLMENT_STATEMENT = Message("EnrolmentStatement", [(1, "context", "text"), (2, "suite", "enum"), (3, "origin", "text"), (4, "node", "text"),
                                                     (5, "department", "text"), (6, "area", "text"), (7, "public_key", "bytes"),
                                                     (8, "curve_key", "bytes")])
DELIVERY_ID = Message("DeliveryId", [(1, "position", "u64"), (2, "ordinal", "u32")])
CONFIRM_STATEMENT = Message("ConfirmStatement", [(1, "context", "text"), (2, "suite", "enum"), (3, "origin", "text"), (4, "node", "text"),
                                                 (5, "key_id", "bytes"), (6, "last", DELIVERY_ID), (7, "running_hash", "bytes"),
                                                 (8, "checkpoint_size", "u64"), (9, "checkpoint_root", "bytes"),
                                                 (10, "confirmed_at_us", "i64")])
PART_COMMITMENT = Message("PartCommitment", [(1, "kind", "enum"), (2, "mac", "bytes"), (3, "size", "u32")])
MATERIAL = Message("MaterialReference", [(1, "type", "text"), (2, "salted_digest", "bytes"), (3, "obtained", "text")])
LIMIT = Message("Limit", [(1, "amount", "u32"), (2, "unit", "text")])
HEADER_GROUPS = [
    Message("ApplyFields", [(1, "project_code", "text"), (2, "apply_type", "text")]),
    Message("ReceiveFields", [(1, "window", "text")]),
    Message("SupplementNoticeFields", [(1, "missing", "text", R), (2, "answer_until_us", "i64")]),
    Message("AcceptFields", [(1, "document_number", "text"), (2, "committed", LIMIT), (3, "to_follow", "text", R), (4, "to_follow_until_us", "i64")]),
    Message("RefuseAcceptFields", [(1, "reason_code", "text"), (2, "document_number", "text")]),
    Message("StepFields", [(1, "step", "text"), (2, "action", "text"), (3, "ended_at_us", "i64"), (4, "state", "text")]),
    Message("SpecialFields", [(1, "special_kind", "u32"), (2, "name", "text"), (3, "expected", LIMIT), (4, "special_id", "text")]),
    Message("ExtendFields", [(1, "by", LIMIT), (2, "reason_code", "text")]),
    Message("DecideFields", [(1, "result_code", "text"), (2, "document_number", "text"), (3, "on_commitment", "bool")]),
    Message("FinishFields", [(1, "finish_kind", "u32"), (2, "finish_kind_given", "bool"), (3, "certificate_name", "text"),
                             (4, "certificate_number", "text")]),
    Message("DeliverFields", [(1, "by_courier", "bool"), (2, "logistics_number", "text")]),
    Message("RateFields", [(1, "level", "u32"), (2, "rating_id", "text")]),
    Message("MatterFields", [(1, "matter_id", "text"), (2, "window_kind", "u32"), (3, "assigned_to", "text")]),
]
EVENT_HEADER = Message("EventHeader", [
    (1, "random", "bytes"), (2, "format", "u32"), (3, "record_namespace", "text"), (4, "record_id", "text"), (5, "revision", "u64"),
    (6, "operation", "enum"), (7, "kind", "enum"), (8, "case_number", "text"), (9, "case_alias", "text", R), (10, "item", "text"),
    (11, "area", "text"), (12, "channel", "enum"), (13, "real_name", "enum"), (14, "truth_commitment", "bool"), (15, "occurred_at_us", "i64"),
    (16, "precision", "enum"), (17, "backfill", "bool"), (18, "source_code", "text"), (19, "handler", "text"), (20, "department", "text"),
    (21, "material", MATERIAL, R), (22, "commitment", PART_COMMITMENT, R),
    *((30 + i, f"fields{30 + i}", group) for i, group in enumerate(HEADER_GROUPS))], [set(range(30, 43))])

EVIDENCE_LEAF = Message("EvidenceLeaf", [(1, "position", "u64"), (2, "entry", "bytes"), (3, "inclusion", "bytes", R)])
EVIDENCE_PART = Message("EvidencePart", [(1, "salt", "bytes"), (2, "content", "bytes"), (3, "withheld", "enum")])
EVIDENCE_EVENT = Message("EvidenceEvent", [(1, "leaf", "u32"), (2, "seal", "u32"), (3, "batch_path", "bytes", R), (4, "header", "bytes"),
                                           (5, "header_withheld", "enum"), (6, "part", EVIDENCE_PART, R)])
EVIDENCE_OUTCOME = Message("EvidenceOutcome", [(1, "seal", "u32"), (2, "index", "u32"), (3, "batch_path", "bytes", R)])
EVIDENCE_LINK = Message("EvidenceLink", [(1, "position", "u64"), (2, "ordinal", "u32"), (3, "event_hash", "bytes")])
EVIDENCE_CONFIRM = Message("EvidenceConfirm", [(1, "leaf", "u32"), (2, "index", "u32"), (3, "running_before", "bytes"),
                                               (4, "link", EVIDENCE_LINK, R)])
EVIDENCE = Message("Evidence", [(1, "format", "u32"), (2, "suite", "enum"), (3, "checkpoint", "bytes"), (4, "leaf", EVIDENCE_LEAF, R),
                                (5, "event", EVIDENCE_EVENT, R), (6, "outcome", EVIDENCE_OUTCOME, R), (7, "confirm", EVIDENCE_CONFIRM, R)])

WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_32 = 0, 1, 2, 5
NUMBERS = {"u32", "u64", "i64", "enum", "bool"}


class Value(dict):
    """A decoded message: every field by its name, unset ones with their default; `given` has the numbers that were there."""

    def __getattr__(self, name):
        return self[name]


def varint(data, at):
    value = 0
    for i in range(10):
        need(at + i < len(data), "the bytes end inside a number", "CB-MALFORMED")
        byte = data[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte & 0x80:
            continue
        need(not (i > 0 and byte == 0) and value < 1 << 64, "a number is not in its shortest form", "CB-MALFORMED")
        return value, at + i + 1
    raise NotProved("a number has more than 64 bits")


def fit(kind, value):
    if kind == "bool":
        need(value <= 1, "a number is too large", "CB-MALFORMED")
    elif kind == "u32":
        need(value < 1 << 32, "a number is too large", "CB-MALFORMED")
    elif kind == "enum":
        need(value < 1 << 31 or value >= (1 << 64) - (1 << 31), "a number is too large", "CB-MALFORMED")
    return value - (1 << 64) if kind in ("i64", "enum") and value >= 1 << 63 else value


class Reader:
    def __init__(self, max_fields, max_depth):
        self.left = max_fields
        self.max_depth = max_depth

    def count(self, n=1):
        self.left -= n
        need(self.left >= 0, "too many fields", "CB-TOO-LARGE")

    def message(self, schema, data, depth=1):
        need(depth <= self.max_depth, "messages are nested too deep", "CB-TOO-LARGE")
        out = Value((name, [] if repeated else default(kind)) for name, kind, repeated in schema.fields.values())
        out["given"] = set()
        at = 0
        while at < len(data):
            tag, at = varint(data, at)
            number, wire = tag >> 3, tag & 7
            need(tag < 1 << 32 and number > 0 and wire in (WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_32), "no such field", "CB-MALFORMED")
            value, at = self.raw(data, at, wire)
            self.count()
            if number in schema.fields:
                self.field(schema, out, number, wire, value, depth)
        return out

    @staticmethod
    def raw(data, at, wire):
        if wire == WIRE_VARINT:
            return varint(data, at)
        size = 8 if wire == WIRE_64 else 4
        if wire == WIRE_BYTES:
            size, at = varint(data, at)
        need(size <= len(data) - at, "the bytes end inside a field", "CB-MALFORMED")
        return data[at:at + size], at + size

    def field(self, schema, out, number, wire, value, depth):
        name, kind, repeated = schema.fields[number]
        if not repeated:
            group = next((g for g in schema.oneofs if number in g), {number})
            need(not out["given"] & set(group), f"{schema.name}.{name} is given twice", "CB-MALFORMED")
        out["given"].add(number)
        expected = WIRE_VARINT if kind in NUMBERS else WIRE_64 if kind == "fixed64" else WIRE_BYTES
        if repeated and wire == WIRE_BYTES and expected != WIRE_BYTES:
            at = 0
            while at < len(value):
                item, at = self.raw(value, at, expected)
                self.count()
                out[name].append(fit(kind, item) if expected == WIRE_VARINT else struct.unpack("<Q", item)[0])
            return
        need(wire == expected, f"{schema.name}.{name} has another wire type", "CB-MALFORMED")
        if isinstance(kind, Message):
            value = self.message(kind, value, depth + 1)
        elif kind == "text":
            value = text(value)
        elif kind == "fixed64":
            value = struct.unpack("<Q", value)[0]
        elif kind != "bytes":
            value = fit(kind, value)
        if repeated:
            out[name].append(value)
        else:
            out[name] = value


def default(kind):
    return None if isinstance(kind, Message) else "" if kind == "text" else b"" if kind == "bytes" else 0


def text(data):
    try:
        decoded = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NotProved("a text is not UTF-8", "CB-TEXT") from None
    need("\0" not in decoded, "a text holds a NUL", "CB-TEXT")
    return decoded


def read(schema, data, size, fields, depth):
    need(len(data) <= size, f"{schema.name} is too large", "CB-TOO-LARGE")
    return Reader(fields, depth).message(schema, data)


def write_varint(value):
    out = bytearray()
    value &= (1 << 64) - 1
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write(schema, value):
    """The canonical bytes. The schema of evidence has no repeated numbers."""
    out = bytearray()
    for number in sorted(schema.fields):
        name, kind, repeated = schema.fields[number]
        for item in value[name] if repeated else [value[name]]:
            if isinstance(kind, Message):
                body = write(kind, item)
            elif kind == "bytes":
                body = item
            else:
                if item:
                    out += write_varint(number << 3 | WIRE_VARINT) + write_varint(item)
                continue
            if body or repeated:
                out += write_varint(number << 3 | WIRE_BYTES) + write_varint(len(body)) + body
    return bytes(out)


# --- 3 The file -------------------------------------------------------------------------------------------------------


def hashes(path, most):
    need(len(path) <= most, "a path is too long", "CB-TOO-LARGE")
    need(all(len(h) == 32 for h in path), "a path holds what is no hash", "CB-MALFORMED")


def rising(keys, what):
    need(all(a < b for a, b in zip(keys, keys[1:])), f"the {what} are not in order", "CB-MALFORMED")


def shown(content, withheld):
    need((withheld == 0) if content else withheld in (1, 2, 3), "something is neither shown nor withheld", "CB-MALFORMED")


def evidence_read(file):
    need(len(file) <= FILE_MAX, "the file is too large", "CB-TOO-LARGE")
    need(file.startswith(MAGIC), "it is no evidence file", "CB-MALFORMED")
    message = file[len(MAGIC):]
    evidence = read(EVIDENCE, message, FILE_MAX, 1 << 20, 3)
    need(write(EVIDENCE, evidence) == message, "the evidence is not canonical", "CB-MALFORMED")
    need(evidence.format == 1 and evidence.suite in HASHES, "another format or suite", "CB-VERSION")
    n = len(evidence.leaf)
    for what, values, most in (("leaves", evidence.leaf, 8192), ("events", evidence.event, 4096), ("outcomes", evidence.outcome, 4096),
                               ("confirmations", evidence.confirm, 1024)):
        need(len(values) <= most, f"too many {what}", "CB-TOO-LARGE")
    rising([leaf.position for leaf in evidence.leaf], "leaves")
    rising([event.leaf for event in evidence.event], "events")
    rising([(outcome.seal, outcome.index) for outcome in evidence.outcome], "outcomes")
    rising([(confirm.leaf, confirm.index) for confirm in evidence.confirm], "confirmations")
    for leaf in evidence.leaf:
        hashes(leaf.inclusion, 64)
    for event in evidence.event:
        need(event.leaf < n and event.seal < n, "no such leaf", "CB-MALFORMED")
        hashes(event.batch_path, 8)
        need(len(event.part) <= 8 and (event.header or not event.part), "parts without a header", "CB-MALFORMED")
        shown(event.header, event.header_withheld)
        for part in event.part:
            shown(part.salt, part.withheld)
            need(len(part.salt) in (0, 32) and len(part.content) <= (65536 if part.salt else 0), "a part has the wrong size", "CB-MALFORMED")
    for outcome in evidence.outcome:
        need(outcome.seal < n, "no such leaf", "CB-MALFORMED")
        hashes(outcome.batch_path, 8)
    for confirm in evidence.confirm:
        need(confirm.leaf < n, "no such leaf", "CB-MALFORMED")
        need(len(confirm.link) <= 4096 and len(confirm.running_before) == (32 if confirm.link else 0), "links without a hash", "CB-MALFORMED")
        need(all(len(link.event_hash) == 32 for link in confirm.link), "a link without a hash", "CB-MALFORMED")
        rising([(link.position, link.ordinal) for link in confirm.link], "links")
    return evidence


# --- 7 Inner messages, notes, keys, certificates ------------------------------------------------------------------------

LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
ORIGIN = re.compile(rf"{LABEL}(?:\.{LABEL})*(?:/{LABEL})*/[1-9][0-9]{{0,8}}")
NODE = re.compile(r"[a-z0-9][a-z0-9.-]*")
TIME_MIN, TIME_END = -2208988800 * 10**6, 253402300800 * 10**6


def is_origin(name):
    return len(name) <= 64 and ORIGIN.fullmatch(name) is not None


def is_node(name):
    return len(name) <= 63 and NODE.fullmatch(name) is not None


def is_time(value):
    return TIME_MIN <= value < TIME_END


def is_text(value, most, least=1):
    return least <= len(value.encode()) <= most


def entry_read(data):
    entry = read(LEDGER_ENTRY, data, 32768, 8192, 6)
    need(entry.format == 1 and entry.suite in (1, 2) and is_time(entry.hub_time_us), "an entry of another form")
    if entry.event is not None:
        event = entry.event
        need(is_node(event.node) and len(event.event_hash) == 32 and len(event.case_id) == 16 and event.number >= 1, "an event entry")
        need(len(event.receiver) <= 64 and all(is_node(r.node) for r in event.receiver), "an event entry's receivers")
    elif entry.seal is not None:
        seal = entry.seal
        need(1 <= len(seal.statement) <= 1024 and len(seal.signature) == 64 and len(seal.outcome) <= 256, "a seal")
        for outcome in seal.outcome:
            need(outcome.index < 256 and len(outcome.event_hash) == 32 and is_text(outcome.code, 64, 0) and
                 (outcome.duplicate_of > 0) != (outcome.code != ""), "a seal's outcome")
        rising([outcome.index for outcome in seal.outcome], "outcomes")
    elif entry.act is not None:
        act_check(entry.act)
    else:
        raise NotProved("an entry holds nothing", "CB-MISSING-FIELD")
    return entry


def act_check(act):
    if act.ledger_opened is not None:
        opened = act.ledger_opened
        need(is_origin(opened.origin) and is_text(opened.log_key, 512) and 1 <= len(opened.authority) <= 2048 and
             is_text(opened.software, 128, 0) and len(opened.previous_checkpoint) <= 4096 and
             (opened.previous_origin == "" or is_origin(opened.previous_origin)), "an opening")
    elif act.node_enrolled is not None:
        enrolled = act.node_enrolled
        need(1 <= len(enrolled.statement) <= 1024 and len(enrolled.signature) == 64 and 1 <= len(enrolled.certificate) <= 2048 and
             len(enrolled.invitation) in (0, 8) and len(enrolled.subject) in (0, 32), "an enrolment")
    elif act.quarantined is not None:
        need(is_node(act.quarantined.node) and is_text(act.quarantined.code, 64) and len(act.quarantined.subject) == 32, "a quarantine")
    elif act.deliveries_confirmed is not None:
        for confirm in act.deliveries_confirmed.confirm:
            need(1 <= len(confirm.statement) <= 1024 and len(confirm.signature) == 64, "a confirmation")
    elif act.erasure_ordered is not None:
        ordered = act.erasure_ordered
        need(ordered.reason in (1, 2) and len(ordered.subject) == 32 and len(ordered.case_id) in (0, 16) and
             1 <= len(ordered.content) <= 1000 and len(ordered.receiver) <= 64 and len(ordered.slot) <= 64 and
             all(is_node(r.node) for r in ordered.receiver) and all(c.header or c.part_mask for c in ordered.content), "an order")
        rising([content.position for content in ordered.content], "contents")
    elif act.node_invited is not None:
        invited = act.node_invited
        need(len(invited.invitation) == 8 and is_node(invited.node) and is_text(invited.department, 63) and
             len(invited.area.encode()) <= 6 and is_time(invited.expires_at_us) and len(invited.subject) == 32, "an invitation")
    elif act.node_status_changed is not None:
        changed = act.node_status_changed
        need(is_node(changed.node) and changed.status in (1, 2, 3) and len(changed.key_id) <= 16 and
             all(len(key) == 16 for key in changed.key_id) and (changed.status == 3 or not changed.key_id) and
             len(changed.subject) == 32, "a change of status")
    elif act.hub_keys_changed is not None:
        need(1 <= len(act.hub_keys_changed.statement) <= 4096 and len(act.hub_keys_changed.signature) == 64 and
             len(act.hub_keys_changed.authority_signature) in (0, 64), "the hub's keys")
    elif act.quarantine_decided is not None:
        need(act.quarantine_decided.decision in (1, 2) and len(act.quarantine_decided.subject) == 32, "a decision on quarantine")
    elif act.policy_applied is not None:
        applied = act.policy_applied
        need(applied.version > 0 and len(applied.digest) == 32 and len(applied.subject) == 32, "a policy")
    elif act.erasure_done is not None:
        need(len(act.erasure_done.ordered) <= 1000, "an erasure")


def statement_read(schema, data, context, size, depth):
    statement = read(schema, data, size, 64, depth)
    need(data.startswith(b"\x0a" + bytes([len(context)]) + context.encode()), "a statement does not begin with its context")
    need(statement.suite in (1, 2) and is_origin(statement.origin) and is_node(statement.node), "a statement's names")
    return statement


def batch_read(data):
    s = statement_read(BATCH_STATEMENT, data, "casebus/v1/batch", 512, 1)
    need(len(s.key_id) == 16 and s.stream != 0 and s.first >= 1 and 1 <= s.count <= 256 and len(s.events_root) == 32 and
         len(s.previous) == 32 and (s.first > 1 or s.previous == bytes(32)), "a batch statement")
    return s


def hub_keys_read(data):
    """None when it is not what it should be: it is not asked whether the CURVE key is right."""
    try:
        s = read(HUB_KEYS_STATEMENT, data, 4096, 64, 2)
    except NotProved:
        return None
    context = b"casebus/v1/hub-keys"
    good = (data.startswith(b"\x0a" + bytes([len(context)]) + context) and s.suite in (1, 2) and is_origin(s.origin) and
            1 <= len(s.authority) <= 2048 and len(s.curve_key) == 32 and is_time(s.curve_from_us) and
            len(s.authority_before) in (0, 32) and s.number > 0)
    return s if good else None


def enrolment_read(data):
    s = statement_read(ENROLMENT_STATEMENT, data, "casebus/v1/enrolment", 1024, 2)
    need(is_text(s.department, 63) and is_text(s.area, 6, 0) and len(s.public_key) == KEY_SIZES[s.suite] and
         len(s.curve_key) == 32, "an enrolment statement")
    return s


def confirm_read(data):
    s = statement_read(CONFIRM_STATEMENT, data, "casebus/v1/confirm", 1024, 2)
    need(len(s.key_id) == 16 and s.last is not None and len(s.running_hash) == 32 and is_time(s.confirmed_at_us) and
         (len(s.checkpoint_root) == 32 or (s.checkpoint_size == 0 and s.checkpoint_root == b"")), "a confirmation statement")
    return s


P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P
SMALL_ORDER = {0, 1, P - 1, 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826,
               0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7}


def suite_of(raw):
    """A key's size tells its suite."""
    return next((suite for suite, size in KEY_SIZES.items() if size == len(raw)), None)


def key_usable(raw):
    if suite_of(raw) == 2:
        return sm2.usable(raw)
    if len(raw) != 32:
        return False
    y = int.from_bytes(raw, "little") & (1 << 255) - 1
    if y >= P or y in SMALL_ORDER:
        return False
    return pow((y * y - 1) * (D * y * y + 1) % P, (P - 1) // 2, P) == 1  # x² is a square


def signed(raw, signature, message):
    if suite_of(raw) == 2:
        return sm2.signed(raw, signature, message)
    if len(signature) != 64 or not key_usable(raw):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
        return True
    except InvalidSignature:
        return False


def key_id(raw):
    suite = suite_of(raw)
    return HASHES[suite](bytes([suite]), raw)[:16]


# What stands before the public key: types of C2SP, and our own for SM2.
LOG_TYPES = {1: b"\x01", 2: b"\xffcasebus.example/sm2-sm3"}
WITNESS_TYPES = {1: b"\x04", 2: b"\xffcasebus.example/sm2-sm3-cosignature"}


class NoteKey:
    """A verifier key: NAME+HEX8+BASE64(type ‖ public key)."""

    def __init__(self, vkey, types):
        self.text = vkey
        self.name, hex8, encoded = vkey.split("+", 2)
        typed = base64.b64decode(encoded, validate=True)
        suite = next((suite for suite, kind in types.items() if typed.startswith(kind) and len(typed) == len(kind) + KEY_SIZES[suite]), None)
        self.key = typed[-KEY_SIZES[suite]:] if suite else b""
        self.hash = bytes.fromhex(hex8)
        if (not name_valid(self.name) or not key_usable(self.key) or hex8 != hex8.lower() or
                self.hash != sha256(self.name.encode(), b"\n", typed)[:4] or base64.b64encode(typed).decode() != encoded):
            raise ValueError(vkey)


def renamed(log, name):
    """The key of a log under another name."""
    typed = base64.b64decode(log.text.split("+", 2)[2])
    return NoteKey(f"{name}+{sha256(name.encode(), b'%c' % 10, typed)[:4].hex()}+{base64.b64encode(typed).decode()}", LOG_TYPES)


def is_space(c):
    return c == "\x85" or c == " " or unicodedata.category(c) in ("Zs", "Zl", "Zp")


def name_valid(name):
    return 0 < len(name.encode()) <= 255 and not any(c == "+" or ord(c) < 0x20 or is_space(c) for c in name)


class Note:
    def __init__(self, data):
        need(len(data) <= 4096, "the note is too large", "CB-TOO-LARGE")
        whole = text(data)
        need(whole.endswith("\n") and not any(ord(c) < 0x20 and c != "\n" for c in whole), "the note is not made of lines", "CB-MALFORMED")
        split = data.rfind(b"\n\n")
        need(split >= 0 and len(data) > split + 2, "the note has no signature", "CB-MALFORMED")
        self.text = data[:split + 1]
        self.lines = [self.line(line) for line in data[split + 2:-1].split(b"\n")]
        lines = self.text[:-1].decode().split("\n")
        need(len(lines) == 3 and 0 < len(lines[0].encode()) <= 255, "the checkpoint's text", "CB-MALFORMED")
        self.origin = lines[0]
        need(re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1], re.ASCII) and int(lines[1]) < 1 << 63, "the checkpoint's size", "CB-MALFORMED")
        self.size = int(lines[1])
        self.root = canonical_base64(lines[2])
        need(self.root is not None and len(self.root) == 32, "the checkpoint's root", "CB-MALFORMED")

    @staticmethod
    def line(line):
        line = line.decode()
        need(line.startswith("\u2014 ") and line.count(" ") >= 2, "a malformed signature line", "CB-MALFORMED")
        name, encoded = line[2:].split(" ", 1)
        value = canonical_base64(encoded)
        need(name_valid(name) and value is not None and len(value) > 4, "a malformed signature line", "CB-MALFORMED")
        return name, value[:4], value[4:]

    def signatures_by(self, key):
        return [signature for name, hash4, signature in self.lines if name == key.name and hash4 == key.hash]

    def check_log(self, key):
        found = self.signatures_by(key)
        need(found, "the note is not signed by the log", "CB-SIGNATURE")
        need(all(signed(key.key, s, self.text) for s in found), "the log's signature does not hold", "CB-SIGNATURE")

    def cosigned(self, key):
        """The latest time, or None."""
        times = []
        for value in self.signatures_by(key):
            need(len(value) == 72, "a cosignature has the wrong size", "CB-SIGNATURE")
            time = struct.unpack(">Q", value[:8])[0]
            need(time <= 253402300799, "a cosignature's time", "CB-SIGNATURE")
            need(signed(key.key, value[8:], b"cosignature/v1\ntime %d\n" % time + self.text), "a cosignature does not hold", "CB-SIGNATURE")
            times.append(time)
        return max(times, default=None)


def canonical_base64(encoded):
    try:
        value = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if encoded and base64.b64encode(value).decode() == encoded else None


def name_bytes(name):
    return name.public_bytes()  # the library's own comparison does not look at the types of texts


def name_text(name, oid):
    found = name.get_attributes_for_oid(oid)
    return found[0].value if len(found) == 1 and found[0]._type.name == "UTF8String" else ""


def usage_is(cert, only):
    usage = cert.extensions.get_extension_for_oid(ExtensionOID.KEY_USAGE)
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
    return usage.critical and {name for name in names if getattr(usage.value, name)} == {only}


def constraints_are(cert, authority):
    found = cert.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS)
    return found.critical and found.value.ca == authority and found.value.path_length == (0 if authority else None)


def extensions_are(cert, oids):
    return sorted(e.oid.dotted_string for e in cert.extensions) == sorted(oid.dotted_string for oid in oids)


ED25519_KEY = bytes.fromhex("302a300506032b6570032100")  # what stands before a key in a certificate
SM2_KEY = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")  # what stands before x and y in a certificate


def raw_key(cert):
    at = cert.tbs_certificate_bytes.find(SM2_KEY)
    if at >= 0:  # the library does not know the curve
        raw = cert.tbs_certificate_bytes[at + len(SM2_KEY):][:64]
        need(key_usable(raw), "a certificate's key is not usable", "CB-CERTIFICATE")
        return raw
    key = cert.public_key()
    need(isinstance(key, Ed25519PublicKey), "a certificate's key is not Ed25519", "CB-CERTIFICATE")
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    need(ED25519_KEY + raw in cert.tbs_certificate_bytes, "a certificate's key is written in another way", "CB-CERTIFICATE")
    need(key_usable(raw), "a certificate's key is not usable", "CB-CERTIFICATE")
    return raw


CERT_ALGORITHMS = {1: bytes.fromhex("300506032b6570"), 2: bytes.fromhex("300a06082a811ccf55018375")}  # without parameters


def cert_signed(cert, raw):
    suite = suite_of(raw)
    signature = sm2.from_der(cert.signature) if suite == 2 else cert.signature
    tbs = cert.tbs_certificate_bytes
    fields = tbs_fields(tbs)
    return len(fields) == 8 and fields[2] == CERT_ALGORITHMS[suite] and signed(raw, signature, tbs)


def tbs_fields(tbs):
    """What is signed: version, serial number, algorithm, issuer, dates, subject, key, extensions."""
    fields, at = [], 2 + (tbs[1] & 0x7F if tbs[1] & 0x80 else 0)
    while at < len(tbs):
        size, n = tbs[at + 1], 0
        if size & 0x80:
            n = size & 0x7F
            size = int.from_bytes(tbs[at + 2:at + 2 + n], "big")
        fields.append(tbs[at:at + 2 + n + size])
        at += 2 + n + size
    return fields


def cert_load(der):
    need(0 < len(der) <= 2048, "a certificate has the wrong size", "CB-CERTIFICATE")
    cert = x509.load_der_x509_certificate(der)
    need(cert.version == x509.Version.v3 and cert.public_bytes(Encoding.DER) == der, "a certificate is not DER", "CB-CERTIFICATE")
    begins, ends = cert_dates(cert)
    need(begins <= ends, "a certificate's dates", "CB-CERTIFICATE")
    return cert


def cert_dates(cert):
    """From when to when it says that it holds, in seconds since 1970."""
    # newer releases have only the names with _utc
    dates = (getattr(cert, f"not_valid_{word}_utc", None) or getattr(cert, f"not_valid_{word}") for word in ("before", "after"))
    return tuple(calendar.timegm(date.utctimetuple()) for date in dates)


class Authority:
    def __init__(self, der):
        cert = cert_load(der)
        self.subject = cert.subject
        self.origin = name_text(cert.subject, NameOID.COMMON_NAME)
        self.key = raw_key(cert)
        need(len(list(cert.subject)) == 1 and is_origin(self.origin) and name_bytes(cert.subject) == name_bytes(cert.issuer) and
             extensions_are(cert, [ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.SUBJECT_KEY_IDENTIFIER]) and
             constraints_are(cert, True) and usage_is(cert, "key_cert_sign") and cert_signed(cert, self.key),
             "it is no authority's certificate", "CB-CERTIFICATE")


def later_generation(later, earlier):
    if not is_origin(later) or not is_origin(earlier):
        return False
    a, b = later.rsplit("/", 1), earlier.rsplit("/", 1)
    return a[0] == b[0] and int(a[1]) >= int(b[1])


class NodeCertificate:
    def __init__(self, der, authority):
        cert = cert_load(der)
        need(name_bytes(cert.issuer) == name_bytes(authority.subject) and cert_signed(cert, authority.key), "it is not by the authority", "CB-CERTIFICATE")
        need(extensions_are(cert, [ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
                                   ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER]) and
             constraints_are(cert, False) and usage_is(cert, "digital_signature"), "it is no node's certificate", "CB-CERTIFICATE")
        issuer = cert.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_KEY_IDENTIFIER).value
        need(issuer.key_identifier is not None and issuer.authority_cert_issuer is None and issuer.authority_cert_serial_number is None,
             "the issuer's key", "CB-CERTIFICATE")
        self.node = name_text(cert.subject, NameOID.COMMON_NAME)
        self.department = name_text(cert.subject, NameOID.ORGANIZATION_NAME)
        self.area = name_text(cert.subject, NameOID.LOCALITY_NAME)
        self.key = raw_key(cert)
        self.dates = cert_dates(cert)
        names = list(cert.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value)
        need([[a.oid for a in rdn] for rdn in cert.subject.rdns] ==
             [[NameOID.COMMON_NAME], [NameOID.ORGANIZATION_NAME], [NameOID.LOCALITY_NAME]] and is_node(self.node) and is_text(self.department, 63) and
             not any(ord(c) < 0x20 or c == "\x7f" for c in self.department) and re.fullmatch(r"[0-9]{6}", self.area, re.ASCII) and
             len(names) == 2 and all(isinstance(name, x509.UniformResourceIdentifier) for name in names),
             "a node's certificate has other names", "CB-CERTIFICATE")
        need(names[0].value.startswith("casebus:origin:") and re.fullmatch(r"casebus:curve:[0-9a-f]{64}", names[1].value),
             "a node's certificate has other names", "CB-CERTIFICATE")
        self.origin = names[0].value[len("casebus:origin:"):]
        self.curve = bytes.fromhex(names[1].value[len("casebus:curve:"):])
        need(is_origin(self.origin) and later_generation(self.origin, authority.origin), "a certificate for another hub", "CB-CERTIFICATE")
        serial = cert.serial_number
        need(1 << 120 <= serial < 1 << 128, "a certificate's serial number", "CB-CERTIFICATE")


def authority_read(der):
    try:
        return Authority(der)
    except (ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension, UnsupportedAlgorithm, x509.InvalidVersion) as why:
        raise NotProved(f"an authority cannot be read: {why}", "CB-CERTIFICATE") from None


def node_certificate(der, authority):
    """What is wrong inside a certificate comes out as many kinds of exceptions; all of them mean that it is none."""
    try:
        return NodeCertificate(der, Authority(authority))
    except (ValueError, TypeError, KeyError, IndexError, x509.ExtensionNotFound, x509.DuplicateExtension, UnsupportedAlgorithm, x509.InvalidVersion) as why:
        raise NotProved(f"a certificate cannot be read: {why}", "CB-CERTIFICATE") from None


# --- 4 The checks -------------------------------------------------------------------------------------------------------


def inclusion(digest, index, size, leaf, path, root):
    """RFC 9162 2.1.3.2"""
    if index >= size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = digest(b"\1", p, r)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            r = digest(b"\1", r, p)
        fn >>= 1
        sn >>= 1
    return sn == 0 and r == root


WITHHELD = {1: "not_asked", 2: "erased", 3: "sealed"}


def rights(grants):
    return (grants.publish, grants.receive_all, tuple(grants.receive_part_kind)) if grants is not None else (False, False, ())


class Verification:
    def __init__(self, evidence, authorities, logs, witnesses, quorum):
        self.evidence, self.authorities, self.logs, self.witnesses, self.quorum = evidence, authorities, logs, witnesses, quorum
        self.suite, self.hash = evidence.suite, HASHES[evidence.suite]
        self.facts, self.gaps = [], []
        self.leaves = []       # (position, entry)
        self.generations = []  # (position, origin)
        self.named = []        # (position, authority): from there on it certifies, and nobody else
        self.trusted = False   # one of them, and so all that lead to it or from it
        self.enrolments = []   # (position, certificate)
        self.statements = {}   # index of a seal's leaf -> BatchStatement

    def fact(self, name, **members):
        self.facts.append({"fact": name, **members})

    def gap(self, name, **members):
        self.gaps.append({"gap": name, **members})

    def run(self):
        self.checkpoint()
        self.read_leaves()
        self.open_generations()
        self.enrol()
        self.seals()
        self.acts()
        self.events()
        self.outcomes()
        self.confirms()
        self.gap("complete")
        self.gap("true")
        return self.facts, self.gaps

    def checkpoint(self):
        note = self.note = Note(self.evidence.checkpoint)
        trusted = self.trusted_log(note.origin)
        need(trusted, "the log's key is not trusted", "CB-HUB-IDENTITY")
        self.former = None if trusted.name == note.origin else trusted.name
        self.log = renamed(trusted, note.origin)
        note.check_log(self.log)
        need(suite_of(self.log.key) == self.suite, "the log's key is of another suite", "CB-KEY")
        self.fact("checkpoint", origin=note.origin, size=note.size, root=note.root.hex())
        n = 0
        for witness in self.witnesses:
            time = note.cosigned(witness)
            if time is not None:
                self.fact("cosigned", witness=witness.name, time_s=time)
                n += 1
        need(n >= self.quorum, "too few witnesses cosigned", "CB-SIGNATURE")
        if n == 0:
            self.gap("unwitnessed")

    def trusted_log(self, origin):
        """The one that is named so; else that of the newest generation before."""
        found = next((log for log in self.logs if log.name == origin), None)
        if found is None:
            earlier = [log for log in self.logs if later_generation(origin, log.name)]
            found = max(earlier, key=lambda log: int(log.name.rsplit("/", 1)[1]), default=None)  # the first of the greatest
        return found

    def read_leaves(self):
        before = None
        for leaf in self.evidence.leaf:
            need(inclusion(self.hash, leaf.position, self.note.size, self.hash(b"\0", leaf.entry), leaf.inclusion, self.note.root),
                 f"entry {leaf.position} is not in the tree", "CB-INCLUSION")
            entry = entry_read(leaf.entry)
            need(entry.suite == self.suite, "an entry of another suite")
            need(before is None or entry.hub_time_us >= before, "the hub's time goes back", "CB-CLOCK")
            before = entry.hub_time_us
            self.leaves.append((leaf.position, entry))

    def open_generations(self):
        newest = None
        for position, entry in self.leaves:
            if entry.act is not None and entry.act.hub_keys_changed is not None:
                self.change_authority(position, entry.act.hub_keys_changed)
            opened = entry.act.ledger_opened if entry.act is not None else None
            if opened is None:
                continue
            need(len(self.generations) < 64, "too many generations", "CB-TOO-LARGE")
            if newest is None:
                need(position == 0 and opened.previous_origin == "", "the ledger's opening is not shown", "CB-HUB-IDENTITY")
            else:
                need(opened.previous_origin == newest.origin and opened.origin != newest.origin and
                     later_generation(opened.origin, newest.origin), "a generation does not follow", "CB-HUB-IDENTITY")
            if not self.named or self.named[-1][1] != opened.authority:  # nobody before has named it
                need(not self.named or self.trusted, "an authority is not trusted", "CB-HUB-IDENTITY")
                self.trusted = False
                self.name_authority(position, opened.authority)
            self.takes_over(opened)
            self.generations.append((position, opened.origin))
            self.fact("opened", position=position, hub_time_us=entry.hub_time_us, origin=opened.origin)
            newest = opened
        need(newest is None or self.trusted, "an authority is not trusted", "CB-HUB-IDENTITY")
        need(newest is not None and newest.origin == self.note.origin and newest.log_key == self.log.text,
             "the checkpoint is not of the newest generation", "CB-HUB-IDENTITY")
        if self.former:
            self.fact("taken_over", position=self.generations[-1][0], origin=self.note.origin, former=self.former)

    def takes_over(self, opened):
        """An opening, when a key of an earlier generation is trusted for this one."""
        if not self.former or not later_generation(opened.origin, self.former):
            return
        need(opened.log_key == renamed(self.log, opened.origin).text, "another key in between", "CB-HUB-IDENTITY")
        if opened.origin == self.former:
            return
        shown = Note(opened.previous_checkpoint)
        need(later_generation(shown.origin, opened.previous_origin) and not later_generation(shown.origin, opened.origin),
             "the checkpoint before is of another generation", "CB-HUB-IDENTITY")
        shown.check_log(renamed(self.log, shown.origin))

    def name_authority(self, position, authority):
        need(len(self.named) < 256, "too many authorities", "CB-TOO-LARGE")
        self.named.append((position, authority))
        self.trusted = self.trusted or authority in self.authorities

    def change_authority(self, position, changed):
        """Another one, named by the one before, which takes on what that one has certified."""
        s = hub_keys_read(changed.statement)
        if not self.generations or s is None or s.authority == self.named[-1][1]:
            return
        before = self.named[-1][1]
        origin = self.generations[-1][1]
        need(later_generation(s.origin, origin) or later_generation(origin, s.origin), "the keys of another hub", "CB-HUB-IDENTITY")
        need(signed(authority_read(before).key, changed.signature, changed.statement), "the authority before did not sign", "CB-SIGNATURE")
        need(s.authority_before == HASHES[s.suite](before), "another authority takes another one's place", "CB-HUB-IDENTITY")
        need(changed.authority_signature and signed(authority_read(s.authority).key, changed.authority_signature, changed.statement),
             "the new authority did not sign", "CB-SIGNATURE")
        self.name_authority(position, s.authority)

    def origin_open(self, origin, position):
        need(any(p < position and o == origin for p, o in self.generations), "signed for another hub", "CB-HUB-IDENTITY")

    def generation_end(self, origin, position):
        """Where the generation after @origin was opened, or @position, if that is before."""
        ends = [later[0] for (_, o), later in zip(self.generations, self.generations[1:]) if o == origin]
        return min([position, *ends])

    def in_force(self, node, position):
        found = [(p, cert) for p, cert in self.enrolments if p < position and cert.node == node]
        return found[-1] if found else None

    def certificate_at(self, der, position):
        named = [authority for p, authority in self.named if p < position]
        need(named, "no authority was named before", "CB-CERTIFICATE")
        return node_certificate(der, named[-1])

    def enrol(self):
        for position, entry in self.leaves:
            enrolled = entry.act.node_enrolled if entry.act is not None else None
            if enrolled is None:
                continue
            statement = enrolment_read(enrolled.statement)
            self.origin_open(statement.origin, position)
            cert = self.certificate_at(enrolled.certificate, position)
            need((statement.node, statement.origin, statement.department, statement.area, statement.suite, statement.public_key,
                  statement.curve_key) == (cert.node, cert.origin, cert.department, cert.area, suite_of(cert.key), cert.key, cert.curve),
                 "statement and certificate differ", "CB-CERTIFICATE")
            need(signed(cert.key, enrolled.signature, enrolled.statement), "the node did not sign its enrolment", "CB-SIGNATURE")
            self.invited(position, enrolled, cert)
            before = self.in_force(cert.node, position)
            vouched = (before is not None and before[1].key != cert.key and
                       self.standing_between(cert.node, before[0], position) == 3)
            if before is None or vouched:
                self.gap("vouched" if vouched else "key_before", node=cert.node, position=position)
            need(before is None or before[1].key == cert.key or vouched or
                 signed(before[1].key, enrolled.previous_signature, enrolled.statement), "the key before did not sign", "CB-SIGNATURE")
            self.enrolments.append((position, cert))
            self.fact("enrolled", position=position, hub_time_us=entry.hub_time_us, node=cert.node, department=cert.department,
                      area=cert.area, key_id=key_id(cert.key).hex())

    def invited(self, position, enrolled, cert):
        """The invitation by which a node came, when the file shows it, was for this node."""
        found = [(p, entry.act.node_invited) for p, entry in self.leaves if entry.act is not None and entry.act.node_invited is not None
                 and enrolled.invitation and entry.act.node_invited.invitation == enrolled.invitation]
        if not found:
            return
        p, invited = found[0]
        need(p < position and (invited.node, invited.department, invited.area) == (cert.node, cert.department, cert.area) and
             rights(invited.grants) == rights(enrolled.grants), "the invitation was for somebody else", "CB-NOT-ALLOWED")

    def standing_between(self, node, after, before):
        """The newest status of the node that the file shows between two entries: 1 active, 2 suspended, 3 revoked; None."""
        said = [entry.act.node_status_changed.status for position, entry in self.leaves
                if after < position < before and entry.act is not None and entry.act.node_status_changed is not None
                and entry.act.node_status_changed.node == node]
        return said[-1] if said else None

    def signer(self, node, position, claimed_id, statement, signature):
        found = self.in_force(node, position)
        need(found, f"no enrolment of {node} is shown", "CB-UNKNOWN-NODE")
        need(key_id(found[1].key) == claimed_id, "another key", "CB-KEY")
        need(signed(found[1].key, signature, statement), "a signature does not hold", "CB-SIGNATURE")
        return found[0]

    def seals(self):
        for i, (position, entry) in enumerate(self.leaves):
            seal = entry.seal
            if seal is None:
                continue
            s = batch_read(seal.statement)
            need(s.first <= 2**63 - 257 and all(o.index < s.count and o.duplicate_of < 2**63 for o in seal.outcome), "a seal's numbers")
            self.origin_open(s.origin, position)
            enrolled = self.signer(s.node, position, s.key_id, seal.statement, seal.signature)
            standing = self.standing_between(s.node, enrolled, position)
            need(standing != 3, "its keys were revoked before", "CB-REVOKED")
            need(standing in (None, 1), "the node was suspended before", "CB-SUSPENDED")
            self.statements[i] = s
            begins, ends = next(cert for p, cert in self.enrolments if p == enrolled).dates
            if not begins <= int(entry.hub_time_us / 10**6) <= ends:
                self.gap("key_period", node=s.node, position=position)
            self.fact("sealed", position=position, hub_time_us=entry.hub_time_us, node=s.node, stream=f"{s.stream:016x}", first=s.first,
                      count=s.count, enrolled=enrolled)

    def acts(self):
        events = {position for position, entry in self.leaves if entry.event is not None}
        for (position, entry), leaf in zip(self.leaves, self.evidence.leaf):
            act = entry.act
            if act is None or act.ledger_opened is not None or act.node_enrolled is not None:
                continue
            name = next((name for name in ACTS.values() if act[name] is not None), "unknown")
            if act.quarantined is not None:
                self.refused(position, act.quarantined)
            self.fact("act", position=position, hub_time_us=entry.hub_time_us, act=name, leaf_hash=self.hash(b"\0", leaf.entry).hex())
            for content in act.erasure_ordered.content if act.erasure_ordered is not None else ():
                if content.position in events:
                    self.fact("erasure", position=content.position, ordered=position, header=bool(content.header), parts=content.part_mask)

    def refused(self, position, quarantined):
        """A member that lies in quarantine was refused for the reason that its seal says."""
        seals = [(p, entry.seal, self.statements[i]) for i, (p, entry) in enumerate(self.leaves) if i in self.statements and p < position]
        if quarantined.whole_batch or not seals:
            return
        p, seal, s = seals[-1]
        if position > p + s.count or s.node != quarantined.node:
            return
        codes = {o.code for o in seal.outcome if o.code and o.event_hash == quarantined.subject}
        need(not codes or quarantined.code in codes or quarantined.code == "CB-ERASED", "the seal says another reason")

    def seal_at(self, i):
        need(i in self.statements, "it is no seal")
        return self.leaves[i][0], self.leaves[i][1].seal, self.statements[i]

    def member(self, statement, index, event_hash, path):
        need(inclusion(self.hash, index, statement.count, self.hash(b"\0", event_hash), path, statement.events_root),
             "it is not what the node signed", "CB-INCLUSION")

    def events(self):
        claimed = set()
        for claim in self.evidence.event:
            position, entry = self.leaves[claim.leaf]
            seal_position, seal, s = self.seal_at(claim.seal)
            event = entry.event
            need(event is not None, "it is no event")
            index = event.number - s.first
            need(event.node == s.node and event.stream == s.stream and 0 <= index < s.count, "it does not belong to the seal")
            refused = [o for o in seal.outcome if o.index == index]
            if refused:  # an operator released it from quarantine later
                need(event.released_from > 0 and refused[0].code and refused[0].event_hash == event.event_hash
                     and position > seal_position, "it became no entry")
            else:
                need(position == seal_position + 1 + index - sum(o.index < index for o in seal.outcome), "it stands in another place")
            self.member(s, index, event.event_hash, claim.batch_path)
            claimed.add(claim.leaf)
            self.fact("event", position=position, hub_time_us=entry.hub_time_us, node=event.node, stream=f"{event.stream:016x}",
                      number=event.number, event_hash=event.event_hash.hex(), case_id=event.case_id.hex(), seal=seal_position)
            for ordinal, receiver in enumerate(event.receiver):
                need(not receiver.retracts or event.replaces > 0, "EventEntry.replaces is missing", "CB-MISSING-FIELD")
                self.fact("receiver", node=receiver.node, position=position, ordinal=ordinal, parts=receiver.part_mask,
                          questions=receiver.questions, retracts=receiver.retracts)
            if claim.header:
                self.header(position, event, claim)
            else:
                self.gap("header", position=position, withheld=WITHHELD[claim.header_withheld])
        for i, (position, entry) in enumerate(self.leaves):
            need(entry.event is None or i in claimed, f"event {position} without its seal")

    def header(self, position, event, claim):
        need(self.hash(b"casebus/v1/event\0", claim.header) == event.event_hash, "another header", "CB-COMMITMENT")
        header = read(EVENT_HEADER, claim.header, 1536, 512, 3)
        need(len(header.commitment) <= 8, "too many parts", "CB-TOO-LARGE")
        need(len(header.commitment) == len(claim.part), "another number of parts", "CB-COMMITMENT")
        self.fact("header", position=position, case_number=header.case_number, kind=header.kind, occurred_at_us=header.occurred_at_us,
                  header=claim.header.hex())
        for i, (commitment, part) in enumerate(zip(header.commitment, claim.part)):
            if not part.salt:
                self.gap("part", position=position, part=i, withheld=WITHHELD[part.withheld])
                continue
            need(commitment.size == len(part.content) and
                 hmac.new(part.salt, part.content, HASH_NAMES[self.suite]).digest() == commitment.mac, "another part", "CB-COMMITMENT")
            self.fact("part", position=position, part=i, kind=commitment.kind, content=part.content.hex())

    def outcomes(self):
        for claim in self.evidence.outcome:
            position, seal, s = self.seal_at(claim.seal)
            found = [o for o in seal.outcome if o.index == claim.index]
            need(found, "the seal has no such outcome")
            self.member(s, claim.index, found[0].event_hash, claim.batch_path)
            self.fact("outcome", seal=position, node=s.node, stream=f"{s.stream:016x}", number=s.first + claim.index,
                      event_hash=found[0].event_hash.hex(), duplicate_of=found[0].duplicate_of - 1 if found[0].duplicate_of else None,
                      code=found[0].code or None)

    def confirms(self):
        events = {position: entry.event for position, entry in self.leaves if entry.event is not None}
        reach, exact = {}, set()
        for claim in self.evidence.confirm:
            position, entry = self.leaves[claim.leaf]
            act = entry.act
            need(act is not None and act.deliveries_confirmed is not None and claim.index < len(act.deliveries_confirmed.confirm),
                 "there is no such confirmation")
            confirm = act.deliveries_confirmed.confirm[claim.index]
            s = confirm_read(confirm.statement)
            self.origin_open(s.origin, position)
            need(s.last.position < self.generation_end(s.origin, position), "it confirms what comes later")
            enrolled = self.signer(s.node, position, s.key_id, confirm.statement, confirm.signature)
            last = (s.last.position, s.last.ordinal)
            if claim.link:
                running = claim.running_before
                for link in claim.link:
                    running = self.hash(b"casebus/v1/delivered\0", running, struct.pack(">QI", link.position, link.ordinal), link.event_hash)
                need((claim.link[-1].position, claim.link[-1].ordinal) == last and running == s.running_hash, "the links do not lead there")
            self.fact("confirmed", position=position, node=s.node, last_position=last[0], last_ordinal=last[1],
                      confirmed_at_us=s.confirmed_at_us, enrolled=enrolled)
            for link in claim.link:
                event = events.get(link.position)
                if event is None:
                    continue
                need(link.ordinal < len(event.receiver) and event.receiver[link.ordinal].node == s.node and
                     event.event_hash == link.event_hash, "a link says something else than its event")
                self.fact("received", node=s.node, position=link.position, ordinal=link.ordinal, event_hash=link.event_hash.hex(),
                          confirmed_by=position)
                exact.add((link.position, link.ordinal))
            reach[s.node] = max(reach.get(s.node, (-1, 0)), last)
        for position, event in events.items():
            for ordinal, receiver in enumerate(event.receiver):
                past = reach.get(receiver.node, (-1, 0)) >= (position, ordinal)
                if past:
                    self.fact("confirmed_at_or_behind", node=receiver.node, position=position, ordinal=ordinal)
                if (position, ordinal) not in exact:
                    self.gap("exact_receipt" if past else "receipt", node=receiver.node, position=position, ordinal=ordinal)


def verify(file, authorities, logs, witnesses=(), quorum=0):
    """The facts, and what is not proved; NotProved."""
    return Verification(evidence_read(file), authorities, logs, witnesses, quorum).run()


# --- the command ----------------------------------------------------------------------------------------------------------


def usage(why):
    print(f"verify_evidence.py: {why}", file=sys.stderr)
    sys.exit(2)


def vkey_text(word):
    if not word.startswith("@") and word.count("+") >= 2:
        return word
    with open(word.removeprefix("@"), encoding="utf-8") as file:
        return file.read().strip()


def trust_load(words):
    authorities, logs = [], []
    for word in words:
        pem, key = enrolment_load(word) if "," not in word else pair_load(*word.split(",", 1))
        authorities.append(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
        logs.append(NoteKey(key, LOG_TYPES))
    return authorities, logs


def pair_load(path, key):
    with open(path, "rb") as file:
        return file.read(), vkey_text(key)


def enrolment_load(path):
    """The enrolment.json of a node holds both."""
    with open(path, encoding="utf-8") as file:
        enrolment = json.load(file)
    try:
        return enrolment["authority"].encode(), str(enrolment["log_key"])
    except (KeyError, TypeError, AttributeError):
        usage(f"'{path}' is not an enrolment.json")


def answer(verdict, facts, gaps, **more):
    # In ASCII: what stands in the file may turn a terminal's writing around.
    print(json.dumps({"verdict": verdict, **more, "facts": facts, "not_proved": gaps}, separators=(",", ":")))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--trust", action="append", required=True, metavar="CA,VKEY|ENROLMENT")
    parser.add_argument("--witness", action="append", default=[], metavar="VKEY")
    parser.add_argument("--quorum", type=int)
    words = parser.parse_args(arguments)
    try:
        authorities, logs = trust_load(words.trust)
        witnesses = [NoteKey(vkey_text(word), WITNESS_TYPES) for word in words.witness]
        with open(words.file, "rb") as file:
            data = file.read(FILE_MAX + 1)
    except (OSError, ValueError) as why:
        usage(why)
    quorum = len(witnesses) if words.quorum is None else words.quorum
    if not 0 <= quorum <= len(witnesses) or len({witness.key for witness in witnesses}) != len(witnesses):
        usage("--quorum is more than the witnesses, or a witness is given twice")
    try:
        facts, gaps = verify(data, authorities, logs, witnesses, quorum)
    except NotProved as why:
        answer("not proved", [], [], code=why.code, sentence=str(why))
        return 1
    answer("proved", facts, gaps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
