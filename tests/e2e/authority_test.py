"""The hub gets another authority under load, beside another CURVE key and kill -9, and comes out as in an undisturbed run."""
import json
import pathlib
import subprocess
import sys
import unittest

import harness
import rotation_test

SECOND = pathlib.Path(__file__).resolve().parent.parent / "interop" / "verify_evidence.py"


class Base(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().start()

    def keys(self):
        return self.hub.ask("hub", "keys")

    def rotate(self, *words):
        done = self.hub.casebus("hub", "rotate", *words)
        self.assertEqual(done.code, 0, done.said)
        return self.keys()["authority_sha256"]

    def pem(self):
        return (self.hub.dir / "keys" / "authority.pem").read_text()

    def pem_kept(self, name):
        path = self.world.path / name
        path.write_text(self.pem())
        return path

    def log_key(self):
        return self.hub.ask("status")["log_key"]

    def left_over(self):
        names = {path.name for path in (self.hub.dir / "keys").iterdir()}
        return {name for name in names if name.startswith("authority") and name not in ("authority.key", "authority.pem")}

    def issuer(self, office):
        """The authority that a verifier finds for the certificate in a node's folder: a file's text."""
        said = json.loads((office.dir / "enrolment.json").read_text())
        return said["authority"]

    def prove(self, case):
        path = self.world.path / f"{case}.evidence"
        done = self.hub.casebus("prove", "--case", case, "--out", path)
        self.assertEqual(done.code, 0, done.said)
        return path

    def verdicts(self, file, trust):
        """What both verifiers say; they have to agree."""
        first = self.world.run("casebus", "verify", "--json", file, "--trust", trust)
        second = subprocess.run([sys.executable, "-B", str(SECOND), str(file), "--trust", trust], capture_output=True,
                                timeout=harness.PATIENCE_S)
        self.assertEqual(first.code, second.returncode, (first.said, second.stdout, second.stderr))
        if first.code == 0:
            self.assertEqual(first.json()["facts"], json.loads(second.stdout)["facts"])
        return first.code == 0


class Authority(Base):
    def test_both_rotations_under_load_lose_nothing_and_who_was_away_learns_it(self):
        offices = [self.world.office(self.hub, name, publish=True) for name in ("desk-1", "desk-2")]
        away = self.world.office(self.hub, "away", publish=True)
        supervisor = self.world.office(self.hub, "supervisor", receive=True)
        old = self.pem()
        drips = [harness.Drip(self.world, office) for office in offices]
        supervisor.launch()
        supervisor.process.wait_for("SESSION-READY")
        load = rotation_test.Load({office.name: drip for office, drip in zip(offices, drips)})
        load.start()

        def flows(more=100):
            for drip in drips:
                drip.process.wait_for("\naccepted ", times=drip.process.log().count("\naccepted ") + more)

        flows()
        first = self.keys()["authority_sha256"]
        second = self.rotate("authority")
        self.assertNotEqual(first, second)
        for drip in drips:
            drip.process.wait_for("log HUB-AUTHORITY ")
        supervisor.process.wait_for("HUB-AUTHORITY ")
        self.hub.kill9()  # the keeper has not written it, perhaps
        self.hub.start()
        self.assertEqual(self.keys()["authority_sha256"], second)
        flows()

        # A CURVE key waits, and the authority changes once more.
        self.rotate("curve", "--in", rotation_test.SOON, "--force")
        third = self.rotate("authority")
        for drip in drips:
            drip.process.wait_for("log HUB-AUTHORITY ", times=2)
        supervisor.process.wait_for("HUB-AUTHORITY ", times=2)
        waits = self.keys()["next_curve_key"]
        self.hub.kill9()
        self.hub.start()
        harness.wait_until("the next key holds", lambda: self.keys()["curve_key"] == waits)
        flows()
        n = load.end()
        for drip in drips:
            self.assertEqual(drip.end(), 0, drip.process.log()[-2000:])
            self.assertNotIn("REFUSED", drip.process.log())
        supervisor.wait_received(n)
        got = [line["event_id"] for line in supervisor.received()]
        self.assertEqual((len(got), len(set(got))), (n, n))
        self.assertEqual(self.keys()["authority_sha256"], third)
        self.assertEqual(self.left_over(), set())

        # Who was away for all of it has the certificate of the first one, and needs the CURVE key alone.
        done = self.hub.casebus("node", "enrolment", "away", "--out", away.dir / "enrolment.json")
        self.assertEqual(done.code, 0, done.said)
        self.assertEqual(self.issuer(away), old)
        away.write_rows([("case-away", 1, "apply")])
        self.assertEqual(away.publish()["accepted"], 1)
        self.assertEqual(away.process.log().count("HUB-AUTHORITY "), 2)
        # A newcomer is certified by the newest.
        late = self.world.office(self.hub, "late", publish=True)
        self.assertEqual(self.issuer(late), self.pem())
        late.write_rows([("case-late", 1, "apply")])
        self.assertEqual(late.publish()["accepted"], 1)
        self.assertEqual(self.hub.verify()["events"], n + 2)
        dump = self.hub.dump("--cases")
        self.hub.stop()
        self.hub.rebuild()
        self.assertEqual(self.hub.start().dump("--cases"), dump)
        doctor = self.world.run("casebus-hub", "doctor", self.hub.dir)
        self.assertNotIn("BAD", doctor.said)

    def test_evidence_is_proved_under_the_former_authority_and_under_the_newest(self):
        before = self.world.office(self.hub, "before", publish=True)
        before.write_rows([("case-before", 1, "apply")])
        before.publish()
        trust = [self.pem_kept("first.pem")]
        old_file = self.prove("case-before").rename(self.world.path / "old.evidence")
        self.rotate("authority")
        trust.append(self.pem_kept("second.pem"))
        after = self.world.office(self.hub, "after", publish=True)
        after.write_rows([("case-after", 1, "apply")])
        after.publish()
        other = self.world.hub("other").start()
        stranger = self.world.path / "stranger.pem"
        stranger.write_text((other.dir / "keys" / "authority.pem").read_text())
        key = self.log_key()
        for case in ("case-before", "case-after"):
            file = self.prove(case)
            for pem in trust:
                self.assertTrue(self.verdicts(file, f"{pem},{key}"), (case, pem))
            self.assertFalse(self.verdicts(file, f"{stranger},{key}"), case)
        for office in (before, after):  # what a department has at hand
            self.assertTrue(self.verdicts(file, str(office.dir / "enrolment.json")))
        # A file that was made before says nothing of the newer one, and is proved by the former alone.
        self.assertTrue(self.verdicts(old_file, f"{trust[0]},{key}"))
        self.assertFalse(self.verdicts(old_file, f"{trust[1]},{key}"))
        self.hub.verify()

    def test_a_backup_older_than_the_rotation_is_restored_with_the_newest_keys(self):
        desk = self.world.office(self.hub, "desk", publish=True)
        dest, keys = self.world.path / "backup", self.world.path / "keys"
        done = self.world.run("casebus-hub", "backup", self.hub.dir, dest)
        self.assertEqual(done.code, 0, done.said)
        newest = self.rotate("authority")
        desk.write_rows([("case-1", 1, "apply")])
        self.assertEqual(desk.publish()["accepted"], 1)
        harness.copy(self.hub.dir / "keys", keys)
        self.hub = self.hub.kill9().restored(dest, keys).start()
        self.hub.process.wait_for("KEYS-LOST")
        self.assertEqual(self.keys()["authority_sha256"], newest)
        desk.write_rows([("case-1", 1, "apply"), ("case-2", 2, "apply")])
        self.assertEqual(desk.publish()["code"], 0)
        late = self.world.office(self.hub, "late", publish=True)
        late.write_rows([("case-3", 1, "apply")])
        self.assertEqual(late.publish()["accepted"], 1)
        self.hub.verify()
        self.hub.stop()
        self.hub.start()
        self.assertNotIn("KEYS-LOST", self.hub.process.log())  # from then on it is in the ledger

    def test_an_older_copy_of_the_keys_is_refused(self):
        old = self.world.path / "old-keys"
        harness.copy(self.hub.dir / "keys", old)
        self.rotate("authority")
        self.hub.settle()
        self.hub.stop()
        harness.copy(old, self.hub.dir / "keys")
        self.assertIn("another authority", self.world.run("casebus-hub", "doctor", self.hub.dir).said)
        self.hub.launch()
        self.assertNotEqual(self.hub.process.finish(), 0)
        self.assertIn("older copy", self.hub.process.log())


class Cuts(Base):
    def test_a_hub_killed_at_any_step_has_the_former_authority_or_the_newest_and_certifies(self):
        shim, arm, step, seen = str(harness.HELPERS / "kill_shim.so"), self.world.path / "arm", 1, set()
        before = self.keys()["authority_sha256"]
        died = True
        while died:
            self.hub.kill9()
            self.hub.start(environment={"LD_PRELOAD": shim, "KILL_AT": str(step), "KILL_NAMES": "1", "KILL_WHEN": str(arm)})
            arm.touch()
            done = self.hub.casebus("hub", "rotate", "authority")
            arm.unlink()
            died = done.code != 0
            if died:
                self.assertNotEqual(self.hub.process.finish(), 0)
                self.hub.start()
            now = self.keys()["authority_sha256"]
            self.assertTrue(died or now != before, done.said)
            seen.add(now != before)
            self.assertTrue("authority.old" not in self.left_over())
            if now != before or step < 4:  # a key that was made for nothing stands for nothing
                office = self.world.office(self.hub, f"node-{step}", publish=True)
                self.assertEqual(self.issuer(office), self.pem())
            before = now
            step += self.world.random.choice((1, 2, 3))
        self.assertEqual(seen, {True, False})
        self.assertGreater(step, 6)
        self.hub.verify()
        self.hub.stop()


if __name__ == "__main__":
    harness.main()
