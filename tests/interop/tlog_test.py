#!/usr/bin/env python3
"""Our log under tools that we did not write: tlogverify (Go's own tlog packages) and openssl.

A fixture (tlog_fixture.c) grows one ledger through sizes at which a tree changes its shape. At each size tlogverify reads it
over the monitors' listener, from an export made at once and from one that is brought up to date step by step. Then single
bytes are altered: each must be noticed. Runs what ctest builds: CASEBUS_BUILD names the build.
"""
import base64
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("CASEBUS_BUILD", HERE.parents[1] / "build")).resolve()
TLOGVERIFY = BUILD / "tests" / "tlogverify" / "tlogverify"
SIZES = [0, 1, 2, 255, 256, 257, 65535, 65536, 65537]
SEED = int(os.environ.get("CASEBUS_SEED") or random.SystemRandom().randrange(1 << 32))


def run(*words):
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


class Fixture:
    def __init__(self):
        self.process = subprocess.Popen([BUILD / "tests" / "tlog_fixture"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url, self.token, self.vkey = self.process.stdout.readline().split()

    def __call__(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def url_of(self, token):
        return self.url.replace("http://", f"http://auditor:{token}@")

    def get(self, path, token=None, method="GET"):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.url + path, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read(), answer.headers

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(60)
        self.process.stdout.close()
        return code


class TheLog(unittest.TestCase):
    """One ledger, growing; the tests of the class look at what that left."""

    @classmethod
    def setUpClass(cls):
        print(f"CASEBUS_SEED={SEED}")
        cls.random = random.Random(SEED)
        cls.path = pathlib.Path(tempfile.mkdtemp(prefix="casebus-tlog-", dir=os.environ.get("TMPDIR", "/var/tmp")))
        cls.addClassCleanup(shutil.rmtree, cls.path, ignore_errors=True)
        cls.fixture = Fixture()
        cls.addClassCleanup(cls.fixture.close)
        cls.checkpoints = {}
        cls.said = {}
        cls.inodes = {}
        for size in SIZES:
            cls.grow(size)

    @classmethod
    def grow(cls, size):
        grown, fresh = cls.path / "grown", cls.path / f"fresh-{size}"
        answers = [cls.fixture(f"grow {size}"), cls.fixture(f"export {grown}"), cls.fixture(f"export {fresh}")]
        for path in sorted(grown.glob("tile/**/*")):
            inode = path.stat().st_ino
            if path.is_file() and ".p/" not in str(path) and cls.inodes.setdefault(path, inode) != inode:
                answers.append(f"{path} was written again")
        checkpoint = cls.path / f"checkpoint.{size}"
        checkpoint.write_bytes(cls.fixture.get("/checkpoint")[0])
        olds = [word for path in cls.checkpoints.values() for word in ("-old", path)]
        cls.checkpoints[size] = checkpoint
        verify = [TLOGVERIFY, "-vkey", cls.fixture.vkey, "-strict", "-inclusion", "all" if size < 1000 else "sample", *olds]
        cls.said[size] = {
            "answers": (0 if all(answer.startswith("ok") for answer in answers) else 1, str(answers)),
            "the listener": run(*verify, "-log", cls.fixture.url_of(cls.fixture.token)),
            "the fresh export": run(*verify, "-log", fresh),
            "the grown export": run(*verify, "-log", grown),
            "openssl": run(HERE / "tlogverify" / "verify-checkpoint.sh", cls.fixture.vkey, fresh / "checkpoint"),
        }

    def test_tlogverify_and_openssl_agree_at_every_size(self):
        for size in SIZES:
            for what, (code, said) in self.said[size].items():
                with self.subTest(size=size, what=what):
                    self.assertEqual(code, 0, said)
            for what in ["the listener", "the fresh export", "the grown export"]:
                self.assertIn(f"size {size}, root", self.said[size][what][1])
                self.assertIn("RESULT OK", self.said[size][what][1])

    def test_listener_and_export_show_the_same_bytes(self):
        size = SIZES[-1]
        files = [p for p in sorted((self.path / f"fresh-{size}").glob("**/*")) if p.is_file() and p.name != "log.vkey"]
        self.assertGreater(len(files), 256)
        for file in self.random.sample(files, 60):
            path = "/" + str(file.relative_to(self.path / f"fresh-{size}"))
            self.assertEqual(self.fixture.get(path, self.fixture.token)[0], file.read_bytes(), path)

    def test_headers_are_those_of_the_specification(self):
        _, headers = self.fixture.get("/checkpoint")
        self.assertEqual((headers["Content-Type"], headers["Cache-Control"]), ("text/plain; charset=utf-8", "no-store"))
        body, headers = self.fixture.get("/tile/0/000", method="HEAD")
        self.assertEqual((body, headers["Content-Length"], headers["Content-Type"]), (b"", "8192", "application/octet-stream"))
        self.assertIn("immutable", headers["Cache-Control"])

    def test_a_partial_tile_stays_when_the_full_one_is_there(self):
        full, _ = self.fixture.get("/tile/0/000")
        for width in (1, 100, 255):
            self.assertEqual(self.fixture.get(f"/tile/0/000.p/{width}")[0], full[:32 * width])

    def test_the_export_keeps_partial_tiles_until_the_full_one_has_come(self):
        grown = self.path / "grown" / "tile"
        self.assertTrue((grown / "0" / "000").is_file())
        self.assertFalse((grown / "0" / "000.p").exists())
        self.assertTrue((grown / "1" / "000").is_file())
        self.assertFalse((grown / "1" / "000.p").exists())
        self.assertEqual([p.name for p in (grown / "0" / "256.p").iterdir()], ["1"])

    def test_entries_are_read_with_a_token_alone(self):
        code, said = run(TLOGVERIFY, "-vkey", self.fixture.vkey, "-log", self.fixture.url)
        self.assertEqual(code, 1)
        self.assertIn("HTTP 401", said)
        code, said = run(TLOGVERIFY, "-vkey", self.fixture.vkey, "-log", self.fixture.url_of("0" * 64))
        self.assertEqual(code, 1)
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.fixture.get("/tile/entries/000")
        self.assertEqual(caught.exception.code, 401)
        caught.exception.close()

    def test_an_export_without_entries_is_completed_by_one_with_them(self):
        hashes = self.path / "hashes"
        self.assertTrue(self.fixture(f"hashes {hashes}").startswith("ok"))
        self.assertFalse((hashes / "tile" / "entries").exists())
        self.assertEqual(self.fixture(f"export {hashes}"), "ok 257")
        self.assertEqual(self.fixture(f"export {hashes}"), "ok 0")
        self.assertEqual(run(TLOGVERIFY, "-vkey", self.fixture.vkey, "-strict", "-inclusion", "none", "-log", hashes)[0], 0)
        self.assertEqual((hashes / "tile" / "entries").stat().st_mode & 0o77, 0)

    # ---- what must not pass ----

    def altered(self, original, change):
        copy = self.path / "altered"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(original, copy)
        change(copy)
        return run(TLOGVERIFY, "-vkey", self.fixture.vkey, "-strict", "-inclusion", "sample", "-log", copy)

    def test_no_altered_byte_passes(self):
        original = self.path / "fresh-257"
        self.assertEqual(self.altered(original, lambda copy: None)[0], 0)
        files = [p.relative_to(original) for p in sorted(original.glob("**/*")) if p.is_file() and p.name != "log.vkey"]
        self.assertEqual(len(files), 6)
        for file in files:
            size = (original / file).stat().st_size
            # The last two digits of the signature hold bits that base64 does not use.
            offsets = {0, 1, 2, size // 2, size - 5} | {self.random.randrange(size - 4) for _ in range(15)}
            for offset in sorted(offsets):
                def flip(copy, file=file, offset=offset):
                    content = bytearray((copy / file).read_bytes())
                    content[offset] ^= 1 << self.random.randrange(7)
                    (copy / file).write_bytes(content)
                with self.subTest(file=str(file), offset=offset):
                    self.assertEqual(self.altered(original, flip)[0], 1)

    def test_nothing_may_be_missing_or_added(self):
        original = self.path / "fresh-257"
        for file in ["checkpoint", "tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/1"]:
            self.assertEqual(self.altered(original, lambda copy, file=file: (copy / file).unlink())[0], 1, file)
            self.assertEqual(self.altered(original, lambda copy, file=file: os.truncate(copy / file, os.stat(copy / file).st_size - 1))[0], 1, file)
        self.assertEqual(self.altered(original, lambda copy: (copy / "tile/0/2").write_bytes(b""))[0], 1)

    def test_another_ledger_is_not_exported_over_this_one(self):
        other = Fixture()
        try:
            other("grow 300")
            grown = self.path / "grown"
            before = (grown / "checkpoint").read_bytes()
            self.assertIn("CB-EXISTS", other(f"export {grown}"))
            (grown / "log.vkey").rename(grown / "log.vkey.away")
            self.assertIn("CB-EXISTS", other(f"export {grown}"))
            self.assertIn("CB-EXISTS", self.fixture(f"export {grown}"))
            (grown / "log.vkey.away").rename(grown / "log.vkey")
            self.assertEqual(self.fixture(f"export {grown}"), "ok 0")
            self.assertEqual((grown / "checkpoint").read_bytes(), before)
        finally:
            self.assertEqual(other.close(), 0)

    def test_an_export_that_knows_more_or_other_is_refused(self):
        copy = self.path / "edited"
        shutil.copytree(self.path / "fresh-65537", copy)
        checkpoint = (copy / "checkpoint").read_bytes()
        (copy / "checkpoint").write_bytes(checkpoint.replace(b"65537", b"65538"))
        self.assertIn("CB-SIGNATURE", self.fixture(f"export {copy}"))
        (copy / "checkpoint").write_bytes(b"no checkpoint")
        self.assertIn("CB-", self.fixture(f"export {copy}"))
        self.fixture(f"forge 300 {copy / 'checkpoint'}")
        self.assertIn("CB-CONSISTENCY", self.fixture(f"export {copy}"))
        self.fixture(f"forge 65538 {copy / 'checkpoint'}")
        self.assertIn("CB-BEHIND", self.fixture(f"export {copy}"))
        (copy / "checkpoint").write_bytes(checkpoint)
        self.assertEqual(self.fixture(f"export {copy}"), "ok 0")

    def test_what_an_interrupted_export_left_is_written_again(self):
        copy = self.path / "interrupted"
        shutil.copytree(self.path / "fresh-256", copy)
        whole = self.path / "fresh-65537"
        (copy / "tile/0/001").write_bytes(b"")  # as after a loss of power
        (copy / "tile/0/002").write_bytes((whole / "tile/0/002").read_bytes())
        (copy / "tile/entries/001").write_bytes((whole / "tile/entries/001").read_bytes()[:-1])
        (copy / ".part").write_bytes(b"half of somethi")
        (copy / "tile/0/000").unlink()  # and what somebody removed
        self.assertTrue(self.fixture(f"export {copy}").startswith("ok"))
        self.assertEqual(run(TLOGVERIFY, "-vkey", self.fixture.vkey, "-strict", "-inclusion", "none", "-log", copy)[0], 0)
        self.assertFalse((copy / ".part").exists())


class TheKey(unittest.TestCase):
    def test_the_exported_key_is_the_logs(self):
        fixture = Fixture()
        try:
            with tempfile.TemporaryDirectory() as folder:
                self.assertEqual(fixture(f"export {folder}"), "ok 0")
                self.assertEqual((pathlib.Path(folder) / "log.vkey").read_text(), fixture.vkey + "\n")
                self.assertEqual(len(base64.b64decode(fixture.vkey.split("+", 2)[2])), 33)
        finally:
            self.assertEqual(fixture.close(), 0)


if __name__ == "__main__":
    if not TLOGVERIFY.exists():
        print(f"{TLOGVERIFY} is not built: golang-go and golang-golang-x-mod-dev are needed")
        sys.exit(77)
    unittest.main(verbosity=2)
