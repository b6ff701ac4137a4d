"""A ZeroMQ peer that keeps to no rule: ZMTP 3.1 by hand over a socket, with CURVE (RFC 26) or without.

libzmq cannot be told to send half a message, or one that never ends, or a name of somebody else; this can. Nothing here is
of casebus: the house of the hub is looked at from outside. CURVE's boxes are libsodium's, which comes with libzmq.
"""
import ctypes
import ctypes.util
import os
import socket
import struct
import time

COMMAND, LONG, MORE = 4, 2, 1  # flags of a frame
SODIUM = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def z85_decode(text):
    text = text.encode() if isinstance(text, str) else text
    out = b""
    for i in range(0, len(text), 5):
        value = 0
        for char in text[i:i + 5]:
            value = value * 85 + Z85.index(char)
        out += value.to_bytes(4, "big")
    return out


def key_pair(secret=None):
    secret = secret or os.urandom(32)
    public = ctypes.create_string_buffer(32)
    SODIUM.crypto_scalarmult_base(public, secret)
    return public.raw, secret


def shared_key(public, secret):
    out = ctypes.create_string_buffer(32)
    if SODIUM.crypto_box_beforenm(out, public, secret):
        raise ValueError("no shared key")
    return out.raw


def box(plain, nonce, key):
    out = ctypes.create_string_buffer(len(plain) + 16)
    SODIUM.crypto_box_easy_afternm(out, plain, ctypes.c_ulonglong(len(plain)), nonce, key)
    return out.raw


def unbox(sealed, nonce, key):
    out = ctypes.create_string_buffer(max(len(sealed) - 16, 1))
    if SODIUM.crypto_box_open_easy_afternm(out, sealed, ctypes.c_ulonglong(len(sealed)), nonce, key):
        raise ValueError("the box does not open")
    return out.raw[:len(sealed) - 16]


def greeting(mechanism=b"CURVE", version=(3, 1)):
    return b"\xff" + bytes(8) + b"\x7f" + bytes(version) + mechanism.ljust(20, b"\0") + bytes(32)


def frame(body, flags=0):
    if len(body) > 255:
        return struct.pack(">BQ", flags | LONG, len(body)) + body
    return struct.pack(">BB", flags, len(body)) + body


def metadata(**more):
    out = b""
    for name, value in {"Socket-Type": b"DEALER", "Identity": b"", **more}.items():
        out += bytes([len(name)]) + name.encode() + struct.pack(">I", len(value)) + value
    return out


class Closed(Exception):
    """The other side has ended the connection."""


class Line:
    """A TCP connection to the hub's endpoint. @address: where it shall seem to come from (127.0.0.0/8)."""

    def __init__(self, endpoint, address="127.0.0.1", patience=30):
        host, port = endpoint[len("tcp://"):].rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=patience, source_address=(address, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.patience = patience
        self.buffer = b""

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed from None
        return self

    def take(self, n, timeout=None):
        end = time.monotonic() + (self.patience if timeout is None else timeout)
        while len(self.buffer) < n:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                raise Closed from None
            finally:
                self.socket.settimeout(self.patience)
            if not data:
                raise Closed
            self.buffer += data
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def take_frame(self, timeout=None):
        """flags, body"""
        flags = self.take(1, timeout)[0]
        size = int.from_bytes(self.take(8 if flags & LONG else 1), "big")
        return flags, self.take(size)

    def closed(self):
        """Whether the other side has ended it, by now. What it said before is thrown away."""
        while True:
            try:
                if not self.socket.recv(1 << 16, socket.MSG_DONTWAIT):
                    return True
            except BlockingIOError:
                return False
            except OSError:
                return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Curve(Line):
    """The client's side of CURVE. @enrolment: of casebus; @secret: another transport key than that one's."""

    def __init__(self, endpoint, server_key, secret=None, handshake=True, **more):
        super().__init__(endpoint, **more)
        self.server = z85_decode(server_key)
        self.public, self.secret = key_pair(secret)
        self.short_public, self.short_secret = key_pair()
        self.nonce = 0
        if handshake:
            self.shake()

    def shake(self, **properties):
        self.send(greeting()).take(64)
        self.hello().welcome()
        return self.initiate(**properties).ready()

    def next_nonce(self):
        self.nonce += 1
        return struct.pack(">Q", self.nonce)

    def hello_body(self):
        nonce = self.next_nonce()
        key = shared_key(self.server, self.short_secret)
        return (b"\x05HELLO\x01\x00" + bytes(72) + self.short_public + nonce +
                box(bytes(64), b"CurveZMQHELLO---" + nonce, key))

    def hello(self):
        return self.send(frame(self.hello_body(), COMMAND))

    def welcome(self):
        _, body = self.take_frame()
        if not body.startswith(b"\x07WELCOME"):
            raise Closed(body[:40])
        plain = unbox(body[24:], b"WELCOME-" + body[8:24], shared_key(self.server, self.short_secret))
        self.short_server, self.cookie = plain[:32], plain[32:]
        self.key = shared_key(self.short_server, self.short_secret)
        return self

    def initiate_body(self, **properties):
        vouch_nonce = os.urandom(16)
        vouch = box(self.short_public + self.server, b"VOUCH---" + vouch_nonce, shared_key(self.short_server, self.secret))
        nonce = self.next_nonce()
        plain = self.public + vouch_nonce + vouch + metadata(**properties)
        return b"\x08INITIATE" + self.cookie + nonce + box(plain, b"CurveZMQINITIATE" + nonce, self.key)

    def initiate(self, **properties):
        return self.send(frame(self.initiate_body(**properties), COMMAND))

    def ready(self):
        _, body = self.take_frame()
        if not body.startswith(b"\x05READY"):
            raise Closed(body[:40])
        return self

    def sealed(self, payload, more=False):
        """The bytes on the wire of one part."""
        nonce = self.next_nonce()
        return frame(b"\x07MESSAGE" + nonce + box(bytes([MORE if more else 0]) + payload, b"CurveZMQMESSAGEC" + nonce, self.key))

    def say(self, payload, more=False):
        return self.send(self.sealed(payload, more))

    def hear(self, timeout=None):
        """The next message."""
        while True:
            flags, body = self.take_frame(timeout)
            if not flags & COMMAND and body.startswith(b"\x07MESSAGE"):
                return unbox(body[16:], b"CurveZMQMESSAGES" + body[8:16], self.key)[1:]


# ---- what a casebus frame says, as far as an attacker reads ----

BODIES = {1: "Hello", 2: "Welcome", 3: "Publish", 4: "Accepted", 5: "Refused", 6: "Subscribe", 7: "Credit", 8: "Deliver",
          9: "Confirm", 10: "Ping", 11: "Pong", 12: "Bye"}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """number, value of each field: int or bytes"""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 1:
            value, at = int.from_bytes(data[at:at + 8], "little"), at + 8
        elif tag & 7 == 5:
            value, at = int.from_bytes(data[at:at + 4], "little"), at + 4
        else:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        yield tag >> 3, value


def field(number, value):
    def encode(n):
        out = b""
        while n > 127:
            out += bytes([n & 127 | 128])
            n >>= 7
        return out + bytes([n])
    if isinstance(value, int):
        return encode(number << 3) + encode(value)
    return encode(number << 3 | 2) + encode(len(value)) + value


class Said:
    """A frame of the hub: its kind and its code, if it has one."""

    CODE = {"Refused": 4, "Bye": 1}

    def __init__(self, data):
        number, body = next((n, v) for n, v in fields(data) if n in BODIES)
        self.kind = BODIES[number]
        self.fields = {}
        for n, value in fields(body):
            self.fields.setdefault(n, []).append(value)
        code = self.fields.get(self.CODE.get(self.kind), [b""])[0]
        self.code = code.decode()

    def __repr__(self):
        return f"{self.kind} {self.code}".strip()


def ping(token=7):
    return field(10, b"\x09" + struct.pack("<Q", token))


def bye():
    return field(12, b"")
