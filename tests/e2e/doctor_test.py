"""casebus-hub doctor: sound is called sound, and each damage has a line and a way out. It changes nothing."""
import base64
import hashlib
import os
import shutil
import subprocess
import unittest

import harness


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = harness.World(cls)
        cls.hub = cls.world.hub().start()
        office = cls.world.office(cls.hub, "office", publish=True)
        office.write_rows([(f"case-{i % 5}", i, "step") for i in range(400)])
        office.publish()
        cls.hub.settle()

    def setUp(self):
        self.dir = self.world.path / "patient"
        if self.hub.process.code is None and "running" not in self._testMethodName:
            self.hub.stop()
        harness.copy(self.hub.dir, self.dir)

    def look(self, *words, dir=None, **more):
        done = self.world.run("casebus-hub", "doctor", dir or self.dir, *words, **more)
        self.assertIn(done.code, (0, 1), done.said)
        return done

    def needs(self, what, *parts):
        """Exactly what is broken is named, with a way out below it."""
        done = self.look()
        self.assertEqual(done.code, 1, done.out)
        lines = done.out.splitlines()
        bad = [i for i, line in enumerate(lines) if line.startswith("LOOK")]
        self.assertTrue(bad, done.out)
        self.assertTrue(any(lines[i].split()[1] == what for i in bad), done.out)
        for i in bad:
            self.assertIn("->", lines[i + 1], done.out)
        for part in parts:
            self.assertIn(part, done.out)
        return done

    def poke(self, name, at, data):
        with open(self.dir / name, "r+b") as file:
            file.seek(at)
            file.write(data)

    def prints(self):
        return {str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
                for path in self.dir.rglob("*") if path.is_file() and path.name != "lock.mdb"}

    def test_1_a_running_hub_is_sound(self):
        done = self.look(dir=self.hub.dir)
        self.assertEqual(done.code, 0, done.out)
        self.assertIn("a hub runs on it", done.out)

    def test_1a_one_node_is_one(self):
        self.assertIn("1 node is enrolled", self.look().out)

    def test_2_a_sound_hub_needs_nobody_and_is_not_changed(self):
        before = self.prints()
        done = self.look("--full")
        self.assertEqual(done.code, 0, done.out)
        self.assertIn("have the root that was signed", done.out)
        self.assertIn("Nothing needs you.", done.out)
        self.assertEqual(self.prints(), before)
        chinese = self.look(environment={"CASEBUS_LANG": "zh"})
        self.assertIn("正常", chinese.out)
        self.assertEqual(self.look(dir=self.hub.dir).code, 0)

    @unittest.skipUnless(os.geteuid() == 0, "needs another user")
    def test_another_user_is_told_to_become_the_right_one(self):
        doctor = self.world.path / "casebus-hub"
        shutil.copy(harness.BIN / "casebus-hub", doctor)
        self.world.path.chmod(0o711)
        done = subprocess.run([doctor, "doctor", self.dir], user="nobody", capture_output=True, text=True,
                              env=harness.ENVIRONMENT, timeout=harness.PATIENCE_S)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn("become that user", done.stderr)

    def test_a_missing_key(self):
        (self.dir / "keys" / "content.key").unlink()
        self.needs("keys", "content.key", "put back the copy of keys/")

    def test_a2_an_authority_that_is_damaged_or_another_ones(self):
        """Each flipped byte of the certificate, another hub's, one that is lost: by doctor, and by a start."""
        path = self.dir / "keys" / "authority.pem"
        good = path.read_text()
        first, *lines, last = good.splitlines()
        der = bytearray(base64.b64decode("".join(lines)))
        other = self.world.hub("foreign").init()
        foreign = (other.dir / "keys" / "authority.pem").read_text()

        def pem(at):
            flipped = bytearray(der)
            flipped[at] ^= 1
            return "\n".join((first, base64.b64encode(flipped).decode(), last)) + "\n"

        for bad in (*(pem(at) for at in (-10, 60, der.index(b"e2e.example") + 2)), foreign, "nothing\n"):
            path.write_text(bad)
            done = self.look()
            self.assertEqual(done.code, 1, done.out)
            self.assertIn("papers/keys/authority.pem", done.out)
            started = self.world.run("casebus-hub", "run", self.dir)
            self.assertNotEqual(started.code, 0)
            self.assertIn("authority.pem", started.err)
            self.assertIn("papers/keys/authority.pem", started.err)
        shutil.copy(other.dir / "keys" / "authority.key", path.with_suffix(".key"))  # both, which fit each other
        path.write_text(foreign)
        self.needs("authority", "that entry 0 of the ledger names", "papers/keys/authority.pem")
        self.needs("node", "'office'")
        path.write_text(good)
        self.needs("keys", "authority.key", "does not belong to its certificate")
        path.with_suffix(".key").unlink()
        self.needs("keys", "authority.key")

    def test_b_a_key_that_others_can_read(self):
        (self.dir / "keys" / "log.key").chmod(0o644)
        self.needs("keys", "log.key", "chmod 600")

    def test_files_that_people_write(self):
        """Each fault with its line, before the hub stands still over it at its next start."""
        vkey = self.hub.ask("status")["log_key"]
        self.assertIn(vkey, self.look().out)
        for name, text, what, line in (
                ("witness.policy", f"log {vkey}\nwitness city\nquorum none\n", "witnesses", "witness.policy:2:"),
                ("witness.logs", f"# others\n{vkey}\nno key\n", "witnessed", "witness.logs:3:"),
                ("retention.yaml", '- item: "*"\n  days: 3650\n- item: "32"\n  days: soon\n', "retention", "line 3:"),
                ("retention.yaml", '- item: "*"\n  days: [3650\n', "retention", "retention.yaml' line "),
                ("keys/auditors", "court " + "a" * 64 + "\nothers\n", "auditors", "line 2 ")):
            path = self.dir / name
            path.write_text(text)
            path.chmod(0o600)
            self.needs(what, line)
            path.unlink()
        (self.dir / "witness.policy").write_text(f"log other.example/exchange/1{vkey[vkey.index('+'):]}\nquorum none\n")
        self.needs("witnesses")
        (self.dir / "witness.policy").write_text(f"log {vkey}\nquorum none\n")
        (self.dir / "witness.logs").write_text(f"{vkey}\n")
        (self.dir / "retention.yaml").write_text('- item: "*"\n  days: 3650\n')
        done = self.look()
        self.assertEqual(done.code, 0, done.out)
        self.assertIn("logs of others: 1", done.out)

    def test_c_a_directory_that_others_can_read(self):
        (self.dir / "keys").chmod(0o755)
        self.needs("rights", "keys")

    def test_d_a_key_of_another_vault(self):
        (self.dir / "keys" / "kek.key").write_text("1" * 64 + "\n")
        self.needs("vault", "made under another key")

    def test_e_another_log_key(self):
        other = self.world.hub("other").init()
        shutil.copy(other.dir / "keys" / "log.key", self.dir / "keys" / "log.key")
        self.needs("ledger", "CB-SIGNATURE")

    def test_f_settings_that_make_no_sense(self):
        text = (self.dir / "hub.yaml").read_text()
        (self.dir / "hub.yaml").write_text(text.replace("log_level: info", "log_level: loud"))
        self.needs("hub.yaml", "log_level")

    def test_g_the_settings_of_another_hub(self):
        text = (self.dir / "hub.yaml").read_text()
        (self.dir / "hub.yaml").write_text(text.replace("e2e.example/exchange/1", "e2e.example/other/1"))
        self.needs("ledger", "e2e.example/other/1")

    def test_h_a_slot_that_is_damaged_in_one_copy_is_mended_by_itself(self):
        self.poke("vault/a", 64 * 3, b"x" * 20)
        done = self.look()
        self.assertEqual(done.code, 0, done.out)
        self.assertIn("1 slot differs between the copies", done.out)

    def test_i_a_slot_that_is_damaged_in_both(self):
        self.poke("vault/a", 64 * 3, b"x" * 20)
        self.poke("vault/b", 64 * 3, b"y" * 20)
        self.needs("vault", "1 slot is damaged in both copies")

    def test_j_a_lost_vault(self):
        shutil.rmtree(self.dir / "vault")
        self.needs("vault", "put back the newest copy of the folder vault/")

    def test_k_a_lost_state(self):
        shutil.rmtree(self.dir / "state")
        self.needs("state", "casebus-hub rebuild")

    def test_l_a_state_that_is_rubbish(self):
        (self.dir / "state" / "data.mdb").write_bytes(os.urandom(65536))
        self.needs("state", "casebus-hub rebuild")

    def test_m_a_lost_ledger(self):
        shutil.rmtree(self.dir / "ledger")
        self.needs("ledger", "casebus-hub restore DEST DIR")

    def test_n_a_changed_entry(self):
        content = (self.dir / "ledger" / "data.mdb").read_bytes()
        entry = next(entry for entry in self.hub.casebus("ledger", "dump").out.splitlines() if '"seal"' in entry)
        found = content.rfind(b"casebus/v1/batch")
        self.assertGreater(found, 0, entry)
        self.poke("ledger/data.mdb", found + 20, bytes([content[found + 20] ^ 1]))
        done = self.look("--full")
        self.assertEqual(done.code, 1, done.out)
        self.assertIn("is not the one whose hash was kept", done.out)

    def test_o_an_older_journal(self):
        office = harness.Office(self.world, self.hub, "office")
        self.hub.start()
        old = self.world.path / "old-journal"
        harness.copy(self.dir / "journal", old)
        office.config = self.world.path / "office.yaml"
        office.write_rows([(f"case-{i % 5}", i, "step") for i in range(500)])
        office.publish()
        self.hub.settle().stop()
        harness.copy(self.hub.dir, self.dir)
        shutil.rmtree(self.dir / "journal")
        harness.copy(old, self.dir / "journal")
        self.needs("journal", "is an older copy", "move")

    def test_p_a_damaged_journal(self):
        segments = sorted((self.dir / "journal").glob("*.seg"))
        used = next(s for s in segments if any(s.read_bytes()[4096:8192]))
        self.poke(f"journal/{used.name}", 4096 + 40, b"\xff" * 64)
        self.needs("journal", "put back the newest journal/")

    def test_q_a_clock_that_is_behind(self):
        if os.environ.get("CASEBUS_SANITIZE"):
            self.skipTest("a preloaded library comes before the sanitizer's")
        done = self.look(environment={"LD_PRELOAD": str(harness.HELPERS / "clock_shim.so"), "CASEBUS_CLOCK_SHIFT": "-86400"},
                         may_crash=True)
        self.assertEqual(done.code, 1, done.out)
        self.assertIn("ahead of this computer's clock", done.out)


if __name__ == "__main__":
    harness.main()
