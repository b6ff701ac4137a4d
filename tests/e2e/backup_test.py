"""A second copy of the hub, made while it runs; what a loss takes, and what comes back."""
import json
import shutil
import time
import unittest

import harness


class Base(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().start()
        self.dest = self.world.path / "dest"

    def office(self, name, rows=0, **rights):
        office = self.world.office(self.hub, name, **(rights or {"publish": True}))
        office.rows = rows
        return office

    def write(self, office, n):
        office.rows = n
        office.write_rows([(f"{office.name}-{i % 7}", i, "step") for i in range(n)])
        return office

    def publish(self, office, n):
        return self.write(office, n).publish()

    def backup(self, expect=0):
        done = self.world.run("casebus-hub", "backup", self.hub.dir, self.dest)
        self.assertEqual(done.code, expect, done.said)
        return done

    def check(self, expect=0):
        done = self.world.run("casebus-hub", "backup", "--verify", self.dest)
        self.assertEqual(done.code, expect, done.said)
        return done

    def manifest(self):
        return json.loads((self.dest / "backup.json").read_text())


class Copying(Base):
    def test_a_running_hub_is_copied_and_what_is_new_is_added(self):
        office = self.office("office")
        self.publish(office, 300)
        first = self.backup()
        self.assertIn("holds", first.out)
        self.check()
        size = self.manifest()["size"]
        self.assertEqual(size, self.hub.ask("status")["ledger_size"])
        self.assertEqual(self.hub.ask("status")["secured_size"], size)

        self.publish(office, 500)
        done = self.backup()
        self.check()
        new = self.manifest()["size"] - size
        self.assertGreater(new, 200)
        self.assertIn(f"{new} are new", done.out)
        self.assertEqual(len(list(self.dest.glob("vault-*"))), 1)
        self.backup()  # nothing is new
        self.check()

        self.hub.stop()
        self.assertIn("0 are new", self.backup().out)  # and when it does not run
        self.check()
        self.hub.start()
        self.assertEqual(self.hub.ask("status")["secured_size"], self.manifest()["size"])

    def test_no_secret_key_is_in_a_backup(self):
        self.publish(self.office("office"), 50)
        self.backup()
        secrets = [path.read_bytes().strip() for path in (self.hub.dir / "keys").glob("*.key")]
        self.assertEqual(len(secrets), 5)
        secrets += [bytes.fromhex(s.decode()) for s in secrets if len(s) == 64]
        for path in self.dest.rglob("*"):
            self.assertFalse(path.name.endswith(".key"))
            if path.is_file():
                content = path.read_bytes()
                for secret in secrets:
                    self.assertNotIn(secret, content, path)

    def test_a_hub_under_load_is_copied_again_and_again(self):
        office = self.write(self.office("office"), 20000)
        office.launch("--once")
        sizes = []
        while office.process.code is None:
            self.backup()
            sizes.append(self.manifest()["size"])
        self.assertEqual(office.finish()["code"], 0)
        self.backup()
        self.check()
        self.assertEqual(self.manifest()["size"], self.hub.ask("status")["ledger_size"])
        self.assertEqual(sizes, sorted(sizes))
        print(f"{len(sizes)} backups while 20000 events came", flush=True)

    def test_a_backup_that_is_killed_leaves_the_former_one(self):
        office = self.office("office")
        self.publish(office, 100)
        self.backup()
        began = time.monotonic()
        for n in range(1, 13):
            self.publish(office, 100 + 400 * n)
            before = self.manifest()
            began = time.monotonic()
            process = self.world.start(self.world.path / "backup.log", "casebus-hub", "backup", self.hub.dir, self.dest)
            time.sleep(self.world.random.random() * 0.12)
            process.kill9()
            after = self.manifest()
            self.check()
            if after != before:
                self.assertGreater(after["size"], before["size"])
        self.backup()
        self.check()
        self.assertEqual(self.manifest()["size"], self.hub.ask("status")["ledger_size"])
        self.assertEqual(len(list(self.dest.glob("vault-*"))), 1)

    def test_another_ledgers_backup_is_not_written_over(self):
        self.publish(self.office("office"), 20)
        self.backup()
        before = self.manifest()
        other = self.world.hub("other").start()
        done = self.world.run("casebus-hub", "backup", other.dir, self.dest)
        self.assertIn("nothing to copy yet", done.err)
        self.world.office(other, "elsewhere", publish=True)
        done = self.world.run("casebus-hub", "backup", other.dir, self.dest)
        self.assertEqual(done.code, 1)
        self.assertIn("are not the beginning of this ledger", done.err)
        self.assertEqual(self.manifest(), before)
        self.check()

    def test_damage_to_a_backup_is_named(self):
        self.publish(self.office("office"), 200)
        self.backup()
        vault = next(self.dest.glob("vault-*"))
        good = vault.read_bytes()
        vault.write_bytes(good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
        self.assertIn("slots are damaged", self.check(expect=1).err)
        vault.write_bytes(good)
        self.check()
        manifest = self.manifest()
        manifest["size"] += 1
        (self.dest / "backup.json").write_text(json.dumps(manifest))
        self.assertIn("checkpoint is for another size", self.check(expect=1).err)
        (self.dest / "backup.json").unlink()
        self.assertIn("holds no backup", self.check(expect=1).err)


if __name__ == "__main__":
    harness.main()
