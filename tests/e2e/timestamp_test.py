"""Time stamps of an authority (RFC 3161) on checkpoints. The authority is `openssl ts` behind a few lines of HTTP."""
import http.server
import subprocess
import threading
import unittest

import harness

CONFIG = """\
[tsa]
default_tsa = tsa_config
[tsa_config]
dir = {dir}
serial = $dir/serial
signer_cert = $dir/tsa.pem
signer_key = $dir/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
certs = $dir/tsa.pem
ess_cert_id_alg = sha256
[req]
distinguished_name = name
prompt = no
x509_extensions = extensions
[name]
CN = Time of the test
[extensions]
basicConstraints = CA:false
extendedKeyUsage = critical,timeStamping
"""


class Authority:
    def __init__(self, world):
        self.dir = world.path / "tsa"
        self.dir.mkdir()
        (self.dir / "config").write_text(CONFIG.format(dir=self.dir))
        (self.dir / "serial").write_text("01\n")
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-config", self.dir / "config",
                     "-keyout", self.dir / "tsa.key", "-out", self.dir / "tsa.pem")
        self.away = self.lies = False
        authority = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                query = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = authority.answer(query, self.headers["Content-Type"])
                self.send_response(status)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/tsa"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        world.at_end.append(self.server.shutdown)

    def openssl(self, *words, **more):
        return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, **more).stdout

    def answer(self, query, kind):
        if self.away or kind != "application/timestamp-query":
            return 503, b""
        if self.lies:  # a good stamp, of something else
            (self.dir / "else").write_bytes(b"something else")
            query = self.openssl("ts", "-query", "-data", self.dir / "else", "-sha256", "-cert")
        (self.dir / "query").write_bytes(query)
        self.openssl("ts", "-reply", "-config", self.dir / "config", "-queryfile", self.dir / "query", "-out", self.dir / "reply")
        return 200, (self.dir / "reply").read_bytes()


class Timestamps(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.authority = Authority(self.world)
        self.hub = self.world.hub().init()
        self.hub.set("timestamp", self.authority.url)
        (self.hub.dir / "timestamp.pem").write_bytes((self.authority.dir / "tsa.pem").read_bytes())

    def begin(self):
        self.hub.start()
        self.office = self.world.office(self.hub, "office", publish=True)
        return self

    def stamps(self, code=0):
        done = self.hub.casebus("ledger", "timestamps", "--json")
        self.assertEqual(done.code, code, done.said)
        return done.json()["timestamps"]

    def test_checkpoint_is_stamped_and_openssl_says_the_same(self):
        self.begin().hub.process.wait_for(" TIMESTAMPED ")
        stamp, = self.stamps()
        self.assertTrue(stamp["holds"])
        self.assertGreater(stamp["at_us"], 0)
        said = self.authority.openssl("ts", "-verify", "-in", stamp["token"], "-data", stamp["note"],
                                      "-CAfile", self.hub.dir / "timestamp.pem")
        self.assertIn(b"Verification: OK", said)
        shown = self.hub.ask("witness", "show")["timestamps"]
        self.assertEqual(shown["size"], stamp["size"])
        self.assertIn(str(stamp["size"]), self.hub.casebus("ledger", "timestamps").out)
        self.hub.stop().start()  # it is not due again for an hour
        self.assertEqual(self.hub.ask("witness", "show")["timestamps"]["size"], stamp["size"])

    def test_stamps_of_an_earlier_generation_come_back_from_a_backup(self):
        self.begin().hub.process.wait_for(" TIMESTAMPED ")
        stamp, = self.stamps()
        dest = self.world.path / "dest"
        for _ in range(2):  # the second run has them already
            self.assertEqual(self.world.run("casebus-hub", "backup", self.hub.dir, dest).code, 0)
        self.hub.stop()
        new = self.world.hub("restored")
        done = self.world.run("casebus-hub", "restore", dest, new.dir, "--keys", self.hub.dir / "keys")
        self.assertEqual(done.code, 0, done.said)
        self.assertNotIn("witnesses other logs", done.out)
        self.hub = new
        again, = self.stamps()
        self.assertEqual((again["size"], again["at_us"], again["holds"]), (stamp["size"], stamp["at_us"], True))

    def test_authority_that_is_away_is_a_dated_state(self):
        self.authority.away = True
        self.begin().hub.process.wait_for(" TIMESTAMP-SILENT ")
        shown = self.hub.ask("witness", "show")["timestamps"]
        self.assertGreater(shown["silent_since_us"], 0)
        self.assertIn("503", shown["trouble"])
        self.office.write_rows([("case-1", 1, "apply")])
        self.assertEqual(self.office.publish()["accepted"], 1)
        self.authority.away = False
        self.hub.process.wait_for(" TIMESTAMP-BACK ")
        self.assertEqual(len(self.stamps()), 1)

    def test_stamp_of_something_else_is_not_taken(self):
        self.authority.lies = True
        self.begin().hub.process.wait_for(" TIMESTAMP-SILENT ")
        self.assertIn("the time stamp does not hold", self.hub.process.log())
        self.assertEqual(self.stamps(), [])

    def test_altered_stamp_or_checkpoint_is_named(self):
        self.begin().hub.process.wait_for(" TIMESTAMPED ")
        stamp, = self.stamps()
        for path in (stamp["token"], stamp["note"]):
            with open(path, "r+b") as file:
                data = bytearray(file.read())
                place = len(data) - 30
                data[place] ^= 1
                file.seek(0)
                file.write(data)
                file.flush()
                self.assertFalse(self.stamps(code=1)[0]["holds"])
                data[place] ^= 1
                file.seek(0)
                file.write(data)
        self.assertTrue(self.stamps()[0]["holds"])


if __name__ == "__main__":
    harness.main()
