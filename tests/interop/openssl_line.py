"""What the openssl command says of signatures, hashes and certificates of both suites: a third word, of a program that everybody has."""
import subprocess

import sm2

# SubjectPublicKeyInfo up to the key: RFC 8410; GM/T 0009 with the point uncompressed.
KEY_HEADS = {32: bytes.fromhex("302a300506032b6570032100"), 64: bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")}
ID = ["-sigopt", f"distid:{sm2.ID.decode()}"]


class OpenSSL:
    def __init__(self, directory):
        self.dir = directory
        self.dir.mkdir(exist_ok=True)

    def run(self, *words):
        return subprocess.run(["openssl", *map(str, words)], cwd=self.dir, capture_output=True)

    def write(self, name, data):
        (self.dir / name).write_bytes(data)
        return name

    def signed(self, raw, signature, message):
        """Whether `openssl dgst` (SM2) or `openssl pkeyutl` (Ed25519) takes @signature by the raw public key."""
        self.write("key.der", KEY_HEADS[len(raw)] + raw)
        self.write("message", message)
        self.write("signature", to_der(signature) if len(raw) == 64 else signature)
        if len(raw) == 64:
            done = self.run("dgst", "-sm3", "-verify", "key.der", "-keyform", "DER", *ID, "-signature", "signature", "message")
        else:
            done = self.run("pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key.der", "-rawin", "-in", "message",
                            "-sigfile", "signature")
        return done.returncode == 0

    def hash(self, suite, data):
        self.write("message", data)
        done = self.run("dgst", {1: "-sha256", 2: "-sm3"}[suite], "-r", "message")
        return bytes.fromhex(done.stdout.split()[0].decode())

    def certified(self, authority, certificate, at_s):
        """Both DER."""
        for name, der in (("ca", authority), ("node", certificate)):
            self.write(f"{name}.der", der)
            self.run("x509", "-inform", "DER", "-in", f"{name}.der", "-out", f"{name}.pem")
        distid = ["-vfyopt", f"distid:{sm2.ID.decode()}"] if bytes.fromhex("2a811ccf5501822d") in authority else []
        done = self.run("verify", "-attime", at_s, "-x509_strict", *distid, "-CAfile", "ca.pem", "node.pem")
        return done.returncode == 0


def to_der(signature):
    def integer(data):
        data = data.lstrip(b"\0") or b"\0"
        data = b"\0" + data if data[0] & 0x80 else data
        return bytes([2, len(data)]) + data
    numbers = integer(signature[:32]) + integer(signature[32:])
    return bytes([0x30, len(numbers)]) + numbers
