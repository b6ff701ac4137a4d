"""Keys that a PKCS#11 token holds: SoftHSM2 signs for a hub and for an adapter, is taken away, and comes back."""
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import harness

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
LOCKED = 77
PIN, WRONG = "4711-0815", "0000"
VERIFIER = pathlib.Path(__file__).resolve().parents[1] / "interop" / "verify_evidence.py"


@unittest.skipUnless(harness.SUITE == "intl", "PKCS#11 knows no SM2")
class Token(unittest.TestCase):
    def setUp(self):
        if not os.path.exists(MODULE):
            raise AssertionError(f"{MODULE} is missing: apt-get install softhsm2")
        self.world = harness.World(self)
        self.tokens = self.world.path / "tokens"
        self.tokens.mkdir()
        config = self.world.path / "softhsm2.conf"
        config.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        before = harness.ENVIRONMENT.copy()
        harness.ENVIRONMENT["SOFTHSM2_CONF"] = str(config)
        self.addCleanup(lambda: (harness.ENVIRONMENT.clear(), harness.ENVIRONMENT.update(before)))
        subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "safe", "--pin", PIN, "--so-pin", "12345678"],
                       check=True, capture_output=True, env=harness.ENVIRONMENT)
        self.pin = self.world.path / "pin"
        self.pin.touch(mode=0o600)
        self.pin.write_text(PIN + "\n")

    def uri(self, name, module=MODULE):
        return f"pkcs11:token=safe;object={name}?module-path={module}&pin-source=file:{self.pin}"

    def init(self, hub, *more):
        return self.world.run("casebus-hub", "init", hub.dir, "--origin", hub.origin, "--listen", hub.endpoint, *more)

    def hub(self):
        hub = self.world.hub()
        done = self.init(hub, "--log-key", self.uri("log"), "--authority-key", self.uri("authority"))
        self.assertEqual(done.code, 0, done.said)
        return hub

    def join(self, hub, name):
        office = harness.Office(self.world, hub, name)
        code = hub.ask("node", "invite", name, "--role", "adapter", "--auto", "--department", name, "--area", "320100")["code"]
        done = self.world.run("casebus-adapter", "join", hub.endpoint, code, "--door", self.door, "--dir", office.dir,
                              "--signing-key", self.uri(name))
        self.assertEqual(done.code, 0, done.said)
        return office.configure()

    def with_door(self, hub):
        self.door = f"tcp://127.0.0.1:{self.world.free_port()}"
        return hub.set("door", self.door)

    def run_hub(self, hub):
        return self.world.run("casebus-hub", "run", hub.dir)

    def take_away(self):
        self.tokens.rename(self.world.path / "pocket")

    def put_back(self):
        (self.world.path / "pocket").rename(self.tokens)

    def proved(self, hub, case):
        """By both verifiers, which share no code."""
        evidence = self.world.path / "case.evidence"
        done = hub.casebus("prove", "--case", case, "-o", evidence)
        self.assertEqual(done.code, 0, done.said)
        opened, = (entry for entry in hub.ask("ledger", "dump") if entry["type"] == "ledger_opened")
        trust = f"{hub.dir / 'keys' / 'authority.pem'},{opened['act']['ledger_opened']['log_key']}"
        first = self.world.run("casebus", "verify", evidence, "--trust", trust)
        self.assertEqual(first.code, 0, first.said)
        second = subprocess.run([sys.executable, "-B", VERIFIER, evidence, "--trust", trust], capture_output=True, text=True,
                                timeout=harness.PATIENCE_S)
        self.assertEqual(second.returncode, 0, second.stdout + second.stderr)

    # ---- as it should go ----

    def test_hub_and_adapter_sign_by_a_token_and_both_verifiers_hold_it_true(self):
        hub = self.with_door(self.hub())
        for name in ("log.key", "authority.key"):
            path = hub.dir / "keys" / name
            self.assertEqual(path.read_text(), self.uri(name[:-4]) + "\n")
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        hub.start()
        desk = self.join(hub, "desk")
        self.assertTrue((desk.dir / "node.key").read_text().startswith("pkcs11:"))
        desk.write_rows([(f"case-{i % 3}", i, "apply") for i in range(1, 101)])
        self.assertEqual(desk.publish("--from-start")["accepted"], 100)
        hub.stop()
        hub.start()
        desk.write_rows([(f"case-{i % 3}", i, "apply") for i in range(1, 151)])
        self.assertEqual(desk.publish()["accepted"], 50)
        self.proved(hub, "case-1")
        self.assertEqual(hub.verify()["events"], 150)
        hub.stop()
        done = self.world.run("casebus-hub", "doctor", hub.dir)
        self.assertEqual(done.code, 0, done.said)

    # ---- what can be wrong ----

    def test_a_wrong_pin_is_tried_once_and_said(self):
        hub = self.hub()
        self.pin.write_text(WRONG + "\n")
        done = self.run_hub(hub)
        self.assertEqual(done.code, LOCKED, done.said)
        self.assertIn("refused its PIN, which was tried once", done.err)
        self.pin.chmod(0o644)
        done = self.run_hub(hub)
        self.assertEqual(done.code, LOCKED, done.said)
        self.assertIn("open to others", done.err)
        self.pin.chmod(0o600)
        self.pin.write_text(PIN + "\n")
        hub.start()

    def test_a_systemd_credential_is_a_pin_and_nobody_to_ask_is_said(self):
        uri = f"pkcs11:token=safe;object=log?module-path={MODULE}"
        done = self.init(self.world.hub("one"), "--log-key", uri)
        self.assertEqual(done.code, LOCKED, done.said)
        self.assertIn("wants its PIN, and none was given", done.err)
        credentials = self.world.path / "credentials"
        credentials.mkdir()
        shutil.copy(self.pin, credentials / "casebus.pin")
        harness.ENVIRONMENT["CREDENTIALS_DIRECTORY"] = str(credentials)
        done = self.init(self.world.hub("two"), "--log-key", uri)
        self.assertEqual(done.code, 0, done.said)

    def test_what_names_no_key_is_said_and_makes_none(self):
        faults = {
            self.uri("log", "/nowhere/module.so"): "the PKCS#11 module '/nowhere/module.so' cannot be opened",
            self.uri("log", "/etc/hostname"): "is no PKCS#11 module that can be used",
            f"pkcs11:token=safe;object=log?pin-source=file:{self.pin}": "does not say which PKCS#11 module",
            f"pkcs11:token=other;object=log?module-path={MODULE}": "no token is there",
            f"pkcs11:token=safe?module-path={MODULE}": "names no key",
            f"pkcs11:token=safe;object=log?pin-value={PIN}": "can be read by others",
            "/root/log.key": "is no PKCS#11 URI",
        }
        for number, (uri, sentence) in enumerate(faults.items()):
            done = self.init(self.world.hub(f"hub-{number}"), "--log-key", uri)
            self.assertNotEqual(done.code, 0, uri)
            self.assertIn(sentence, done.err)
        done = self.init(self.world.hub("gm"), "--suite", "gm", "--log-key", self.uri("log"))
        self.assertIn("of the suite 'intl' only", done.err)

    def test_a_node_of_a_gm_hub_is_told_that_a_token_cannot_sign_for_it(self):
        hub = self.world.hub("gm")
        self.assertEqual(self.init(hub, "--suite", "gm").code, 0)
        self.with_door(hub).start()
        code = hub.ask("node", "invite", "desk", "--role", "adapter", "--auto", "--department", "d", "--area", "320100")["code"]
        done = self.world.run("casebus-adapter", "join", hub.endpoint, code, "--door", self.door, "--dir", self.world.path / "desk",
                              "--signing-key", self.uri("desk"))
        self.assertEqual(done.code, 3, done.said)
        self.assertIn("the hub is of the suite 'gm'", done.err)

    # ---- taken away ----

    def hub_without_token(self):
        """Runs, has taken something, has to sign more, and cannot."""
        hub = self.hub().start()
        drip = harness.Drip(self.world, self.world.office(hub, "desk", publish=True))
        for i in range(100):
            drip.publish(f"r-{i}", f"case-{i % 50}")
        drip.process.wait_for("\naccepted ", times=100)
        self.take_away()
        for i in range(100, 2000):
            drip.publish(f"r-{i}", f"case-{i % 50}")
        hub.process.wait_for("TOKEN-GONE")
        return hub, drip

    def ends_well(self, hub, drip):
        self.assertEqual(drip.end(), 0, drip.process.log()[-3000:])
        self.assertNotIn("\nrefused ", drip.process.log())
        self.assertEqual(hub.settle().verify()["events"], 2000)

    def test_while_the_token_is_away_senders_wait_and_nothing_is_lost(self):
        hub, drip = self.hub_without_token()
        self.assertIsNone(hub.process.code)
        self.put_back()
        self.ends_well(hub, drip)

    def test_a_hub_that_is_stopped_without_its_token_goes_on_when_it_is_back(self):
        hub, drip = self.hub_without_token()
        self.assertNotEqual(hub.process.stop(), 0)
        done = self.run_hub(hub)
        self.assertEqual(done.code, 1, done.said)
        self.assertIn("(CB-TOKEN)", done.err)
        self.put_back()
        hub.start()
        self.ends_well(hub, drip)

    def test_who_comes_while_the_token_is_away_is_let_in_when_it_is_back(self):
        """The hub cannot prove itself meanwhile, and does not claim to be the hub."""
        hub = self.hub().start()
        desk = self.world.office(hub, "desk", publish=True).write_rows([("case-1", 1, "apply")])
        self.take_away()
        desk.launch("--once", "--from-start")
        desk.process.wait_for("CB-BUSY")
        hub.process.wait_for("TOKEN-GONE")
        self.assertNotIn("SESSION-READY", desk.process.log())
        self.assertNotIn("HUB-UNPROVEN", desk.process.log())
        self.put_back()
        self.assertEqual(desk.finish()["accepted"], 1)

    def test_an_adapter_without_its_token_does_not_begin_and_says_why(self):
        hub = self.with_door(self.world.hub().init()).start()
        desk = self.join(hub, "desk").write_rows([("case-1", 1, "apply")])
        self.take_away()
        done = self.world.run("casebus-adapter", "run", desk.config, "--once", "--from-start")
        self.assertEqual(done.code, 3, done.said)
        self.assertIn("(CB-TOKEN)", done.said)
        self.put_back()
        self.assertEqual(desk.publish("--from-start")["accepted"], 1)

    def test_an_adapter_whose_token_is_away_for_a_while_keeps_its_outbox(self):
        hub = self.with_door(self.world.hub().init()).start()
        drip = harness.Drip(self.world, self.join(hub, "desk"))
        drip.publish("r-0", "case-1")
        harness.wait_until("the first is there", lambda: hub.verify()["events"] == 1)
        self.take_away()
        for i in range(1, 501):
            drip.publish(f"r-{i}", "case-1")
        drip.process.wait_for("does not sign")
        self.put_back()
        self.assertEqual(drip.end(), 0, drip.process.log()[-3000:])
        self.assertEqual(hub.verify()["events"], 501)


if __name__ == "__main__":
    harness.main()
