"""A second copy of the hub, made while it runs; what a loss takes, and what comes back."""
import hashlib
import json
import shutil
import subprocess
import time
import unittest

import harness
import policy_file_test


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

    def make_former(self, manifest=None):
        """As a version of before there were digests left it."""
        manifest = manifest or self.manifest()
        for paper in manifest["files"]:
            name = self.dest / "files" / paper["name"]
            name.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.paper(paper["name"]), name)
        shutil.rmtree(self.dest / "papers")
        former = {key: value for key, value in manifest.items() if key not in ("suite", "files", "digest")}
        (self.dest / "backup.json").write_text(json.dumps({**former, "format": 2}))

    def paper(self, name):
        digest = next(paper["digest"] for paper in self.manifest()["files"] if paper["name"] == name)
        return self.dest / "papers" / f"{name}.{digest[:16]}"


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
        self.assertGreaterEqual(len(secrets), 5)
        secrets += [bytes.fromhex(s.decode()) for s in secrets if len(s) == 64]
        for path in self.dest.rglob("*"):
            self.assertFalse(path.name.endswith(".key"))
            if path.is_file():
                content = path.read_bytes()
                for secret in secrets:
                    self.assertNotIn(secret, content, path)

    def test_a_hub_under_load_is_copied_again_and_again(self):
        office = self.write(self.office("office"), 8000)
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
        print(f"{len(sizes)} backups while 8000 events came", flush=True)

    def test_a_backup_that_is_killed_leaves_the_former_one(self):
        office = self.office("office")
        self.publish(office, 100)
        self.backup()
        for n in range(1, 7):  # at which step does not matter: backup_cuts_test tries them all
            self.publish(office, 100 + 400 * n)
            before = self.manifest()
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
        other.stop()
        for hub in (self.hub, other):
            done = self.world.run("casebus-hub", "backup", other.dir, hub.dir)
            self.assertEqual(done.code, 2)
            self.assertIn("is the directory of a hub", done.err)
            (self.world.path / "link").symlink_to(hub.dir)
            for inside in (hub.dir / "sub", hub.dir / "keys" / "a" / "b", self.world.path / "link" / "sub"):
                done = self.world.run("casebus-hub", "backup", other.dir, inside)
                self.assertEqual(done.code, 2)
                self.assertIn("lies in the directory of a hub", done.err)
                done = other.casebus("ledger", "export", inside)
                self.assertEqual(done.code, 1, done.said)
                self.assertIn("lies in the directory of a hub", done.err)
                done = self.world.run("casebus-hub", "restore", self.dest, inside, "--keys", self.hub.dir / "keys")
                self.assertEqual(done.code, 2)
                self.assertFalse(inside.exists())
            (self.world.path / "link").unlink()

    def test_damage_to_a_backup_is_named(self):
        self.publish(self.office("office"), 200)
        self.backup()
        vault = next(self.dest.glob("vault-*"))
        good = vault.read_bytes()
        vault.write_bytes(good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
        self.assertIn("1 slot is damaged", self.check(expect=1).err)
        vault.write_bytes(good)
        self.check()
        manifest = self.manifest()
        manifest["size"] += 1
        (self.dest / "backup.json").write_text(json.dumps(manifest))
        self.assertIn("backup.json' is damaged", self.check(expect=1).err)
        self.make_former(manifest)
        self.assertIn("checkpoint is for another size", self.check(expect=1).err)
        (self.dest / "backup.json").unlink()
        self.assertIn("holds no backup", self.check(expect=1).err)


class Restores(Base):
    def restore(self, *words, expect=0, hub="restored", dest=None):
        """From the backup into a new directory; the keys are those that were kept apart."""
        new = self.world.hub(hub)
        new.endpoint = self.hub.endpoint
        done = self.world.run("casebus-hub", "restore", dest or self.dest, new.dir, "--keys", self.keys, *words)
        self.assertEqual(done.code, expect, done.said)
        self.said = done.said
        return new

    def setUp(self):
        super().setUp()
        self.keys = self.world.path / "keys"
        harness.copy(self.hub.dir / "keys", self.keys)

    def forge(self, vault):
        """The vault, and a manifest that fits it: all that somebody can do who can write to the backup."""
        manifest = {**self.manifest(), "slots": len(vault) // 64 - 1}
        (self.dest / manifest["vault"]).write_bytes(vault)
        digest = bytes(32)
        new = {"intl": hashlib.sha256, "gm": lambda data: hashlib.new("sm3", data)}[manifest["suite"]]
        for at in range(0, len(vault), 1 << 20):
            digest = new(digest + vault[at:at + (1 << 20)]).digest()
        manifest["vault_digest"] = digest.hex()
        del manifest["digest"]
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        manifest["digest"] = new(text.encode()).hexdigest()
        (self.dest / "backup.json").write_text(json.dumps(manifest))

    def size(self):
        return self.hub.settle().ask("status")["ledger_size"]



class Papers(Restores):
    """The small files of a backup: settings, rules, certificates, evidence."""
    FILES = {"retention.yaml": '- item: "*"\n  days: 3650\n', "witness.logs": "# nobody\n",
             "witness/timestamps/7.tsr": "a time stamp\n", "witness/evidence/other-7": "two roots of one size\n"}

    def setUp(self):
        super().setUp()
        self.publish(self.office("office"), 20)
        for name, text in self.FILES.items():
            (self.hub.dir / name).parent.mkdir(parents=True, exist_ok=True)
            (self.hub.dir / name).write_text(text)
        self.backup()
        self.names = [paper["name"] for paper in self.manifest()["files"]]

    def flip(self, path):
        content = bytearray(path.read_bytes())
        bit = self.world.random.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)

    def doctor(self, expect=0):
        done = self.world.run("casebus-hub", "doctor", self.hub.dir)
        self.assertEqual(done.code, expect, done.said)
        return done.out

    def assert_named(self, name):
        """By each of those who look, and restore makes nothing."""
        for said in (self.check(expect=1).err, self.doctor(expect=1)):
            self.assertIn(f"{name}", said)
            self.assertIn("casebus-hub backup", said)
        new = self.restore(expect=1)
        self.assertIn(f"{name}", self.said)
        self.assertFalse(new.dir.exists())

    def test_a_flipped_bit_in_any_of_them_is_named_and_the_next_backup_mends_it(self):
        self.assertEqual(set(self.names), {"hub.yaml", "keys/authority.pem", *self.FILES})
        self.assertIn(f"files: {len(self.names)}", self.doctor())
        for name in self.names:
            self.flip(self.paper(name))
            self.assert_named(name)
            self.backup()
            self.check()
        self.doctor()

    def test_a_missing_one_is_named_and_a_stray_one_is_said(self):
        for name in ("hub.yaml", "witness/evidence/other-7"):
            self.paper(name).rename(self.dest / "papers" / f"{name}.0123456789abcdef")
            self.assert_named(name)
            self.backup()
            self.assertNotIn("0123456789abcdef", self.check().out)
        (self.dest / "papers" / "witness.policy").write_text("log x\n")
        self.assertIn("papers/witness.policy' is not of this backup", self.check().out)
        new = self.restore()
        self.assertFalse((new.dir / "witness.policy").exists())
        self.backup()
        self.assertNotIn("is not of this backup", self.check().out)

    def test_the_manifest_names_its_own_damage(self):
        good = (self.dest / "backup.json").read_bytes()
        whole = self.check().out
        for i in range(24):
            (self.dest / "backup.json").write_bytes(good)
            self.flip(self.dest / "backup.json")
            done = self.world.run("casebus-hub", "backup", "--verify", self.dest)
            self.assertTrue("backup.json'" in done.err or done.out == whole, done.said)  # a space may be another one
        self.assertEqual(self.restore(expect=1).dir.exists(), False)
        self.assertIn("backup.json", self.said)
        self.assertIn("backup.json", self.doctor(expect=1))

    def test_what_is_damaged_can_be_left_out_when_there_is_no_other_copy(self):
        for name in ("retention.yaml", "witness/timestamps/7.tsr", "hub.yaml"):
            self.flip(self.paper(name))
        self.restore(expect=1)
        new = self.restore("--leave-damaged")
        for name in ("retention.yaml", "witness/timestamps/7.tsr", "hub.yaml"):
            self.assertRegex(self.said, f"Left out: .*{name}")
        self.assertIn("presets", self.said)
        self.assertFalse((new.dir / "retention.yaml").exists())
        self.assertEqual((new.dir / "witness.logs").read_text(), self.FILES["witness.logs"])
        self.assertEqual(new.ask("status")["origin"], "e2e.example/exchange/2")

    def test_a_former_versions_copy_is_restored_and_continued(self):
        self.make_former()
        self.assertIn("no check sums", self.check().out)
        self.assertIn("no check sums", self.doctor())
        new = self.restore()
        for name, text in self.FILES.items():
            self.assertEqual((new.dir / name).read_text(), text)
        shutil.rmtree(new.dir)
        self.backup()
        self.assertFalse((self.dest / "files").exists())
        self.assertNotIn("no check sums", self.check().out)
        self.restore()

    def test_what_is_not_copied_is_said(self):
        (self.hub.dir / "notes.txt").write_bytes(bytes(1024 * 1024 + 1))
        (self.hub.dir / "witness.policy").symlink_to(self.world.path / "elsewhere")
        (self.hub.dir / "subfolder").mkdir()
        said = self.backup().err
        self.assertIn("notes.txt' is not in the backup", said)
        self.assertIn("witness.policy' is not in the backup", said)
        self.assertEqual(said.count("is not in the backup"), 2, said)
        (self.hub.dir / "notes.txt").write_bytes(bytes(1024 * 1024))
        (self.hub.dir / "witness.policy").unlink()
        self.assertEqual(self.backup().err, "")
        self.assertEqual((self.restore().dir / "notes.txt").stat().st_size, 1024 * 1024)

    def test_a_backup_is_read_where_nothing_can_be_written(self):
        theirs = self.world.path / "theirs"
        theirs.mkdir()
        for path in (theirs, self.keys, *self.keys.rglob("*")):
            shutil.chown(path, "nobody")
        for path in (self.dest, *self.dest.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        self.world.path.chmod(0o711)
        shutil.copy(harness.BIN / "casebus-hub", self.world.path)

        def as_nobody(*words):
            return subprocess.run([self.world.path / "casebus-hub", *words], user="nobody", capture_output=True, text=True,
                                  env=harness.ENVIRONMENT, timeout=harness.PATIENCE_S)
        before = {path: path.stat().st_mtime_ns for path in self.dest.rglob("*")}
        for lock in (True, False):
            if not lock:
                (self.dest / "lock").unlink()
                (self.dest / "ledger" / "lock.mdb").unlink()
                before = {path: path.stat().st_mtime_ns for path in self.dest.rglob("*")}
            done = as_nobody("backup", "--verify", self.dest)
            self.assertEqual(done.returncode, 0, done.stderr)
            done = as_nobody("restore", self.dest, theirs / f"hub-{lock}", "--keys", self.keys)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual({path: path.stat().st_mtime_ns for path in self.dest.rglob("*")}, before)

    def test_a_backup_is_read_from_a_read_only_medium(self):
        mount = f"mount --bind {self.dest} {self.dest} && mount -o remount,ro,bind {self.dest}"
        if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
            self.skipTest("nothing can be mounted here")
        (self.dest / "lock").unlink()
        (self.dest / "ledger" / "lock.mdb").unlink()
        for words in (("backup", "--verify", self.dest),
                      ("restore", self.dest, self.world.path / "restored", "--keys", self.keys)):
            done = self.world.run("/usr/bin/unshare", "-m", "sh", "-c", f'{mount} && exec "$0" "$@"',
                                  harness.BIN / "casebus-hub", *words)
            self.assertEqual(done.code, 0, done.said)
        self.assertFalse((self.dest / "lock").exists())

    def test_a_copy_that_is_not_here_is_a_note(self):
        self.dest.rename(self.world.path / "unmounted")
        self.assertIn("cannot be looked at", self.doctor())
        (self.world.path / "unmounted").rename(self.dest)
        self.assertIn("it is a backup", self.world.run("casebus-hub", "doctor", self.dest).out)


class Window(Restores):
    """What an operator did after the newest backup: said at the time, counted, and lost with the hub."""

    def act(self, *words):
        """Does it; returns what is said on stderr."""
        done = self.hub.casebus(*words)
        self.assertEqual(done.code, 0, done.said)
        return done.err

    def behind(self):
        backup = self.hub.ask("status")["backup"]
        return {what: n for what, n in backup["behind"].items() if n and what != "entries"}

    def follow(self):
        self.hub.stop()
        self.hub.set("backup", self.dest).start()

    def test_an_act_reaches_the_backup_before_the_command_says_done(self):
        self.follow()
        for name in ("office", "desk", "mole"):
            harness.Office(self.world, self.hub, name).enrol(publish=True)
        office = harness.Office(self.world, self.hub, "office")
        office.configure()
        office.rows = 20
        office.write_rows([(f"case-{i % 2}", i, "step", f"MARK-{i % 2}-secret") for i in range(20)])
        office.publish()
        policy = self.world.path / "policy.yaml"
        policy.write_text(policy_file_test.POLICY.format(kinds="accept", parts="form"))
        for words in (("node", "add", "insurance", "--out", self.world.path / "insurance", "--department", "insurance",
                       "--area", "320100", "--publish"),
                      ("policy", "apply", policy, "--why", "a test", "--yes"),
                      ("node", "suspend", "desk", "--why", "moving"),
                      ("erase", "--case", "case-1", "--order", "by decision 7", "--yes"),
                      ("node", "revoke", "mole", "--why", "its key was stolen", "--yes")):
            self.assertNotIn("backup", self.act(*words))
            self.assertEqual(self.behind(), {})
        self.hub.kill9()
        shutil.move(self.hub.dir, self.world.path / "gone")
        self.hub = self.restore("--checkpoint", office.dir / "checkpoint").start()
        told = {node["node"]: node["status"] for node in self.hub.ask("node", "list")["nodes"]}
        self.assertEqual((told["mole"], told["desk"], told["insurance"]), ("revoked", "suspended", "active"))
        self.assertEqual(self.hub.ask("policy", "show")["version"], 1)
        self.assertEqual([bool(order["done_at_us"]) for order in self.hub.ask("erasure", "list")["erasures"]], [True])
        self.assertEqual(self.hub.verify()["erased"], 10)
        office.publish("--from-start")
        self.assertNotIn("MARK-1-secret".encode().hex(), json.dumps(self.hub.events()))

    def test_a_backup_that_cannot_be_brought_up_to_date_is_said_and_fails_the_command(self):
        self.follow()
        harness.Office(self.world, self.hub, "office").enrol(publish=True)
        self.dest.rename(self.world.path / "unmounted")
        self.dest.write_text("no directory")
        for json_too in ([], ["--json"]):
            done = self.hub.casebus("node", "suspend", "office", "--why", "moving", *json_too)
            self.assertEqual(done.code, 1, done.said)
            self.assertIn("is done at the hub, but not in the backup", done.err)
            done = self.hub.casebus("node", "resume", "office", "--why", "moved", *json_too)
            self.assertEqual(done.code, 1, done.said)
        self.dest.unlink()
        (self.world.path / "unmounted").rename(self.dest)
        self.act("node", "suspend", "office", "--why", "moving")
        self.assertEqual(self.behind(), {})

    def test_acts_at_one_time_all_reach_the_backup(self):
        self.follow()
        names = [f"office-{i}" for i in range(6)]
        for name in names:
            harness.Office(self.world, self.hub, name).enrol(publish=True)
        running = [self.world.start(self.world.path / f"{name}.log", "casebus", "--hub", self.hub.dir, "node", "suspend", name,
                                    "--why", "a test") for name in names]
        for process in running:
            self.assertEqual(process.finish(), 0, process.log())
        self.assertEqual(self.behind(), {})

    def test_each_act_that_no_backup_has_is_said_counted_and_lost(self):
        command = f"casebus-hub backup {self.hub.dir} "
        said = self.act("node", "add", "office", "--out", self.world.path / "office", "--department", "office",
                        "--area", "320100", "--publish")
        self.assertIn(f"none was made: {command}DEST", said)
        office = harness.Office(self.world, self.hub, "office")
        office.configure()
        self.assertEqual(self.behind(), {"enrolments": 1})
        self.assertIn("none is known", self.hub.casebus("status").out)
        self.publish(office, 20)
        self.backup()
        self.assertEqual(self.behind(), {})
        status = self.hub.ask("status")
        self.assertEqual(status["backup"]["size"], status["secured_size"])
        self.assertEqual(status["backup"]["dest"], str(self.dest.resolve()))
        harness.Office(self.world, self.hub, "desk").enrol(publish=True)
        harness.Office(self.world, self.hub, "insurance").enrol(publish=True)
        self.backup()
        policy = self.world.path / "policy.yaml"
        policy.write_text(policy_file_test.POLICY.format(kinds="accept", parts="form"))
        acts = (("erase", "--case", "office-1", "--order", "by decision 7", "--yes"),
                ("policy", "apply", policy, "--why", "a test", "--yes"),
                ("node", "suspend", "office", "--why", "moving"))
        for words in acts:
            self.assertIn("no backup has this yet (the newest one is of 2", said := self.act(*words))
            self.assertIn(f"{command}{self.dest.resolve()}", said)
        answer = self.hub.ask("node", "revoke", "office", "--why", "gone", "--yes")
        self.assertEqual(answer["backup"]["behind"]["standings"], 1)
        self.assertEqual(self.behind(), {"erasures": 1, "standings": 1, "policies": 1})
        self.assertIn("orders to destroy: 1", self.hub.casebus("status").out)
        done = self.world.run("casebus-hub", "doctor", self.hub.dir)
        self.assertEqual(done.code, 0, done.out)
        self.assertRegex(done.out, "note\tbackup .*orders to destroy: 1, enrolments: 0, suspensions and revocations: 1")
        self.assertIn(f"-> {command}{self.dest.resolve()}", done.out)
        self.hub.stop()
        self.restore()
        self.assertIn(f"after {self.manifest()['made_at']}: orders to destroy", self.said)
        self.hub.start()
        self.backup()
        self.assertEqual(self.behind(), {})
        self.assertNotIn("note\tbackup", self.world.run("casebus-hub", "doctor", self.hub.dir).out)


class Restoring(Restores):
    def test_auditors_and_files_beside_the_settings_come_back(self):
        self.publish(self.office("office"), 20)
        self.hub.casebus("auditor", "add", "court")
        files = {"witness.logs": "# nobody\n", "retention.yaml": '- item: "*"\n  days: 3650\n'}
        for name, text in files.items():
            (self.hub.dir / name).write_text(text)
        harness.copy(self.hub.dir / "keys", self.keys)
        self.backup()
        self.hub.stop()
        new = self.restore()
        self.assertIn("court", new.casebus("auditor", "list").out)
        self.assertIn("enrol them again", self.said)
        for name, text in files.items():
            self.assertEqual((new.dir / name).read_text(), text)

    def test_a_restore_that_fails_leaves_the_keys_that_were_there(self):
        self.publish(self.office("office"), 20)
        self.backup()
        self.hub.stop()
        new = self.world.path / "restored"
        new.mkdir(mode=0o700)
        harness.copy(self.keys, new / "keys")
        done = self.world.run("casebus-hub", "restore", self.dest, new, "--same-generation")
        self.assertEqual(done.code, 2, done.said)
        self.assertEqual([path.name for path in new.iterdir()], ["keys"])
        done = self.world.run("casebus-hub", "restore", self.dest, new)
        self.assertEqual(done.code, 0, done.said)

    def test_what_was_shown_to_others_and_is_missing_is_said(self):
        office, late = self.office("office"), self.office("late")
        self.publish(office, 200)
        self.publish(late, 10)
        self.backup()
        size = self.size()
        self.publish(office, 260)
        shown = self.size()
        self.hub.stop()
        new = self.restore("--checkpoint", late.dir / "checkpoint", "--checkpoint", office.dir / "checkpoint")
        self.assertIn(f"Restored {size} entries", self.said)
        self.assertIn(f"{shown} were shown to others: entries {size} to {shown - 1} are missing", self.said)
        self.assertIn("goes on as e2e.example/exchange/2", self.said)
        self.assertIn(new.ask("status")["log_key"], self.said)
        new.start()
        status = new.ask("status")
        self.assertEqual((status["origin"], status["ledger_size"]), ("e2e.example/exchange/2", size + 1))
        self.assertEqual(len(new.events()), 210)  # opened under the origin of their time
        opened = [json.loads(line) for line in new.casebus("ledger", "dump").out.splitlines()][size]["act"]["ledger_opened"]
        self.assertEqual(opened["previous_origin"], harness.ORIGIN)
        self.assertIn(f"\n{shown}\n", bytes.fromhex(opened["previous_checkpoint"]).decode())

    def test_a_restored_hub_takes_new_nodes_and_is_backed_up_where_it_was(self):
        self.publish(self.office("office"), 100)
        self.backup()
        self.hub.stop()
        self.hub = self.restore().start()
        self.assertIn("Nobody's checkpoint was given", self.said)
        fresh = self.office("fresh")
        self.assertEqual(self.publish(fresh, 50)["accepted"], 50)
        self.backup()
        self.check()
        self.assertEqual(self.manifest()["origin"], "e2e.example/exchange/2")
        self.hub.stop()
        third = self.restore("--checkpoint", fresh.dir / "checkpoint", hub="third").start()
        self.assertIn("Nothing is missing", self.said)
        self.assertEqual(third.ask("status")["origin"], "e2e.example/exchange/3")
        self.assertEqual(len(third.events()), 150)
        self.hub = third
        before = third.dump("--all")
        third.stop()
        third.rebuild()
        self.assertTrue(third.dump("--all") == before)

    def test_a_backup_that_is_not_what_was_shown_is_refused(self):
        """A copy of the hub that went on by itself, with the hub's own keys: what an operator who lies would bring."""
        office, accomplice = self.office("office"), self.office("accomplice")
        self.publish(office, 50)
        self.hub.stop()
        harness.copy(self.hub.dir, self.world.path / "forked")
        self.hub.start()
        self.publish(office, 120)
        self.hub.stop()
        honest, self.hub.dir = self.hub.dir, self.world.path / "forked"
        self.hub.start()
        self.publish(accomplice, 300)
        self.backup()
        self.hub.stop()
        self.hub.dir = honest
        self.restore("--checkpoint", office.dir / "checkpoint", expect=1)
        self.assertIn("not the beginning of what was shown to others", self.said)
        self.assertFalse((self.world.path / "restored" / "hub.yaml").exists())

    def test_the_same_generation_needs_the_proof_that_nothing_is_missing(self):
        office = self.office("office")
        self.publish(office, 100)
        witness = self.hub.ask("witness", "show")["vkey"]
        harness.copy(self.hub.dir / "keys", self.keys)
        self.backup()
        harness.copy(office.dir, self.world.path / "then")
        self.publish(office, 110)
        self.hub.stop()
        self.restore("--same-generation", expect=2)
        self.assertIn("needs a checkpoint", self.said)
        self.assertFalse((self.world.path / "restored").exists())
        self.restore("--same-generation", "--checkpoint", office.dir / "checkpoint", expect=1)
        self.assertIn("cannot go on in the same generation", self.said)
        self.assertFalse((self.world.path / "restored").exists())
        new = self.restore("--same-generation", "--checkpoint", self.world.path / "then" / "checkpoint").start()
        self.assertIn("Nothing is missing", self.said)
        self.assertNotIn("witnesses other logs", self.said)
        self.assertEqual(new.ask("witness", "show")["vkey"], witness)

    def test_a_witness_that_forgot_what_it_cosigned_is_another_one(self):
        office = self.office("office")
        self.publish(office, 20)
        log, witness = self.hub.ask("status")["log_key"], self.hub.ask("witness", "show")["vkey"]
        (self.hub.dir / "witness.logs").write_text(f"{log}\n")
        seen, evidence = (self.hub.dir / "witness" / name for name in ("seen", "evidence"))
        (seen / "somebody").write_text("seen\n")
        (evidence / "fork").write_text("two notes\n")
        harness.copy(self.hub.dir / "keys", self.keys)
        self.backup()
        self.hub.stop()
        new = self.restore("--same-generation", "--checkpoint", office.dir / "checkpoint")
        self.assertIn("it is another witness from now on", self.said)
        self.assertEqual((new.dir / "witness" / "evidence" / "fork").read_text(), "two notes\n")
        self.assertFalse((new.dir / "witness" / "seen").exists())
        self.assertTrue((new.dir / "keys" / "witness.key.before").exists())
        self.assertNotEqual(new.start().ask("witness", "show")["vkey"], witness)

    def test_wrong_keys_and_a_full_directory_are_named(self):
        self.publish(self.office("office"), 20)
        self.backup()
        other = self.world.hub("other").start()
        other.stop()
        self.keys, right = other.dir / "keys", self.keys
        self.restore(expect=1)
        self.assertIn("do not belong to the hub", self.said)
        self.assertFalse((self.world.path / "restored").exists())
        (right / "kek.key").write_text("0" * 64 + "\n")
        self.keys = right
        self.restore(expect=1)
        self.assertIn("made under another key", self.said)
        left = self.world.path / "restored"
        self.assertFalse(left.exists())
        left.mkdir(mode=0o700)
        (left / "hub.yaml").write_text("origin: somebody's\n")
        self.restore(expect=1)
        self.assertIn("is not empty", self.said)
        self.assertEqual([path.name for path in left.iterdir()], ["hub.yaml"])

    def test_after_a_rotation_an_older_backup_opens_with_no_key_that_is_left(self):
        self.publish(self.office("office"), 100)
        self.backup()
        harness.copy(self.dest, self.world.path / "old")
        self.hub.stop()
        done = self.world.run("casebus-hub", "rotate-kek", self.hub.dir)
        self.assertEqual(done.code, 0, done.said)
        self.keys = self.hub.dir / "keys"
        self.hub.start()
        self.assertEqual(len(self.hub.events()), 100)
        self.backup()
        self.hub.stop()
        self.restore(expect=1, dest=self.world.path / "old")
        self.assertIn("made under another key", self.said)
        self.assertFalse((self.world.path / "restored").exists())
        self.assertEqual(len(self.restore().start().events()), 100)


class Erased(Restores):
    """What is erased comes back from no backup, with all files and all keys that are left."""

    def attack(self, *markers):
        """Hub, newest backup and an older copy of it, all in the hands of one who has the hub's keys."""
        stolen = self.world.path / "stolen"
        shutil.rmtree(stolen, ignore_errors=True)
        with self.hub.standing_still():
            shutil.copytree(self.hub.dir, stolen, ignore=shutil.ignore_patterns("hub.sock"))
        shutil.copytree(self.dest, stolen / "newest-backup")
        shutil.copytree(self.world.path / "old", stolen / "older-backup")
        done = self.world.run(str(harness.HELPERS / "open_all"), stolen, *markers, timeout=240)
        self.assertEqual(done.code, 0, done.said)
        return list(done.json()["markers"].values())

    def secrets(self):
        """Ten of each of four cases, and a backup of them."""
        office = self.office("office")
        office.rows = 40
        office.write_rows([(f"case-{i % 4}", i, "step", f"MARK-{i % 4}-secret") for i in range(40)])
        office.publish()
        self.backup()
        return office

    def test_erase_then_rotate_then_backup(self):
        office = self.secrets()
        harness.copy(self.dest, self.world.path / "old")
        self.assertTrue(all(count > 0 for count in self.attack("MARK-1-secret", "MARK-2-secret")))
        done = self.hub.casebus("erase", "--case", "case-1", "--order", "by decision 7", "--yes")
        self.assertEqual(done.code, 0, done.said)
        self.hub.settle().stop()
        self.assertEqual(self.world.run("casebus-hub", "rotate-kek", self.hub.dir).code, 0)
        self.hub.start()
        done = self.backup()
        self.assertRegex(done.out, "10 erased contents were erased in it")
        self.check()
        gone, kept = self.attack("MARK-1-secret", "MARK-2-secret")
        self.assertEqual(gone, 0)
        self.assertGreater(kept, 0)
        self.assertEqual(self.hub.verify()["erased"], 10)

        self.keys = self.hub.dir / "keys"
        self.hub.stop()
        self.restore(expect=1, dest=self.world.path / "old")  # the older one: no key opens its vault
        self.assertIn("made under another key", self.said)
        self.assertFalse((self.world.path / "restored").exists())
        self.hub = self.restore("--checkpoint", office.dir / "checkpoint").start()
        self.assertEqual(self.hub.verify()["erased"], 10)
        text = json.dumps(self.hub.events())
        self.assertNotIn("MARK-1-secret".encode().hex(), text)
        self.assertNotIn("case-1", text)
        self.assertIn("case-2", text)


    def test_an_older_vault_in_a_backup_is_named_and_brings_no_key_back(self):
        self.secrets()
        old = next(self.dest.glob("vault-*")).read_bytes()
        done = self.hub.casebus("erase", "--case", "case-1", "--order", "by decision 7", "--yes")
        self.assertEqual(done.code, 0, done.said)
        self.backup()
        self.check()
        doctor = self.world.run("casebus-hub", "doctor", self.hub.dir)
        self.assertEqual(doctor.code, 0, doctor.said)

        vault = self.dest / self.manifest()["vault"]
        good = vault.read_bytes()
        self.assertEqual(len(old), len(good))  # nothing but the slot differs
        vault.write_bytes(old)
        self.assertIn("is not the copy of the vault that was made", self.check(expect=1).err)
        doctor = self.world.run("casebus-hub", "doctor", self.hub.dir)
        self.assertEqual(doctor.code, 1, doctor.said)
        self.assertIn("is not the copy of the vault that was made", doctor.out)
        self.restore(expect=1)
        self.assertIn("is not the copy of the vault that was made", self.said)
        vault.write_bytes(good)
        self.check()

        self.forge(old)
        self.assertRegex(self.check(expect=1).err, "is an older copy of the vault: it still has the key in slot [0-9]+")
        new = self.restore(expect=1)
        self.assertIn("is an older copy of the vault", self.said)
        self.assertFalse(new.dir.exists())
        self.hub.stop()
        self.hub = self.restore("--leave-damaged").start()
        self.assertIn("is an older copy of the vault", self.said)
        self.assertEqual(self.hub.verify()["erased"], 10)
        self.backup()
        self.check()


class Following(Restores):
    """Nodes go with the restored hub, and bring what it has lost."""

    def lose(self, *checkpoints):
        """The hub is gone with all its directory; a new one is made from the backup, at the same address."""
        self.hub.kill9()
        shutil.move(self.hub.dir, self.world.path / "gone")
        shutil.rmtree(self.world.path / "restored", ignore_errors=True)
        self.hub = self.restore(*[word for path in checkpoints for word in ("--checkpoint", path)])
        return self.hub

    def records(self):
        return sorted((event["node"], event["header"]["record_id"]) for event in self.hub.events())

    def expected(self, *offices):
        return sorted((office.name, f"{office.name}-{i % 7}#{i}") for office in offices for i in range(office.rows))

    def test_everything_that_was_acknowledged_is_there_again(self):
        offices = [self.office(f"office-{i}") for i in range(3)]
        for office in offices:
            self.publish(office, 100)
        self.backup()  # from now on the nodes keep what comes
        for round in range(2, 5):
            for office in offices:
                self.publish(office, 100 * round)
            if round == 2:
                self.backup()
        whole = self.records()
        self.assertEqual(whole, self.expected(*offices))
        self.lose(*[office.dir / "checkpoint" for office in offices])
        self.assertIn("are missing", self.said)
        self.hub.start()
        self.assertLess(len(self.records()), len(whole))
        had = {office.name: self.hub.ask("node", "show", office.name)["streams"][0]["last"] for office in offices}
        for office in offices:
            self.publish(office, 401)  # one more row each makes them come
            log = office.process.log()
            self.assertIn("HUB-GENERATION", log)
            self.assertIn("SENT-AGAIN", log)
            self.assertTrue((office.dir / "evidence" / "checkpoint-generation-1").exists())
            self.assertIn("exchange/2", (office.dir / "checkpoint").read_text())
            self.assertRegex(self.hub.process.log(), f"GENERATION-MET .*'{office.name}' .* up to {had[office.name]}, ")
        self.assertEqual(self.records(), self.expected(*offices))
        self.assertEqual(self.hub.verify()["events"], len(self.expected(*offices)))
        before = self.hub.stop().dump("--cases")
        self.hub.rebuild()
        self.assertTrue(self.hub.dump("--cases") == before)

    def test_a_receiver_goes_on_and_gets_every_record(self):
        office = self.office("office")
        supervisor = self.office("supervisor", receive=True)
        supervisor.launch()
        self.publish(office, 150)
        supervisor.wait_received(150)
        self.backup()
        self.publish(office, 220)
        supervisor.wait_received(220)
        self.assertEqual(supervisor.process.stop(), 0)
        self.lose(office.dir / "checkpoint", supervisor.dir / "checkpoint")
        self.hub.start()
        supervisor.launch()
        self.publish(office, 250)
        wait = lambda: {line["record_id"] for line in supervisor.received()} == {f"office-{i % 7}#{i}" for i in range(250)}
        harness.wait_until("the receiver has every record", wait)
        origins = {line["origin"] for line in supervisor.received()}
        self.assertEqual(origins, {"e2e.example/exchange/1", "e2e.example/exchange/2"})
        first = [line["record_id"] for line in supervisor.received() if line["origin"].endswith("/1")]
        self.assertEqual(len(first), 220)
        again = [line["record_id"] for line in supervisor.received() if line["origin"].endswith("/2")]
        self.assertEqual(len(again), len(set(again)))
        self.assertEqual(len(again), 100)  # 70 that were lost, and 30 new ones
        self.assertEqual(supervisor.process.stop(), 0)
        supervisor.launch()
        self.publish(office, 260)
        harness.wait_until("it goes on after a restart", lambda: len(supervisor.received()) == 330)

    def test_a_node_that_saw_more_than_the_hub_admits_says_so_and_keeps_the_proof(self):
        office, other = self.office("office"), self.office("other")
        self.publish(office, 50)
        self.publish(other, 50)
        self.backup()
        self.publish(other, 60)
        self.publish(office, 120)
        self.lose(other.dir / "checkpoint")  # the newest one, the office's, is not given
        self.hub.start()
        self.publish(office, 121)
        self.assertIn("GENERATION-LACKS", office.process.log())
        self.publish(other, 61)
        self.assertNotIn("GENERATION-LACKS", other.process.log())
        self.assertEqual(self.records(), self.expected(office, other))

    def test_a_running_program_goes_with_the_hub(self):
        office = self.office("office")
        self.publish(office, 20)
        self.backup()
        drip = harness.Drip(self.world, office)
        drip.process.wait_for("state ready")
        for i in range(10):
            drip.publish(f"before-{i}", "case-a")
        drip.process.wait_for("accepted ", times=10)
        self.lose()
        self.hub.start()
        drip.process.wait_for("HUB-GENERATION")
        drip.publish("after", "case-a").process.wait_for("accepted ", times=21)
        self.assertEqual(drip.end(), 0)
        found = [record for _, record in self.records() if not record.startswith("office")]
        self.assertEqual(sorted(found), sorted([f"before-{i}" for i in range(10)] + ["after"]))

    def test_the_same_backup_can_be_needed_twice(self):
        office, quiet = self.office("office"), self.office("quiet")
        self.publish(office, 50)
        self.publish(quiet, 50)
        self.backup()
        self.publish(quiet, 60)
        for n in (2, 3):
            self.publish(office, 50 * n)
            self.lose(office.dir / "checkpoint").start()
            self.assertEqual(self.hub.ask("status")["origin"], f"e2e.example/exchange/{n}")
            self.publish(office, 50 * n + 1)
            shutil.rmtree(self.world.path / "gone")
        self.publish(quiet, 61)
        self.assertEqual(self.records(), self.expected(office, quiet))
        self.hub.verify()

    def join_again(self, office, *rights, expect=0):
        """What the operator types for a node that the restored hub does not know."""
        done = self.hub.casebus("node", "add", office.name, "--out", office.dir, "--department", office.name,
                                "--area", "320100", *(rights or ("--publish",)))
        self.assertEqual(done.code, expect, done.said)
        return done.said

    def test_a_node_that_was_enrolled_after_the_backup_joins_again_and_loses_nothing(self):
        office = self.office("office")
        self.publish(office, 50)
        self.backup()
        late = self.office("late")
        self.publish(late, 80)
        first = (late.dir / "enrolment.json").read_bytes()
        for generation in (2, 3):  # and a second time, from the same backup
            keys = [(late.dir / name).read_bytes() for name in ("node.key", "node.curve")]
            self.lose(late.dir / "checkpoint").start()
            self.assertNotIn("late", self.hub.nodes())
            if generation == 3:
                late.publish(expect=3)  # nothing is new, and yet nothing is fine
                self.assertIn("casebus node add late", late.process.log())
            late.launch()
            late.process.wait_for("does not know this node's key")
            self.assertIn(f"enrolled again at e2e.example/exchange/{generation}", self.join_again(late))
            late.process.wait_for("SENT-AGAIN")
            harness.wait_until("the late one's events are back", lambda: len(self.records()) == 50 + late.rows)
            self.assertEqual(late.process.stop(), 0)
            self.publish(late, 80 + generation)
            self.publish(office, 50 + generation)
            self.assertEqual(self.records(), self.expected(office, late))
            self.assertEqual([(late.dir / name).read_bytes() for name in ("node.key", "node.curve")], keys)
            self.assertIn("stays as it is", self.join_again(late))
            self.hub.verify()
            shutil.rmtree(self.world.path / "gone")
        evidence = late.dir / "evidence"
        self.assertEqual((evidence / "enrolment-generation-1.json").read_bytes(), first)
        self.assertEqual(sorted(path.name for path in evidence.iterdir()),
                         [f"{what}-generation-{n}{end}" for what, end in (("checkpoint", ""), ("enrolment", ".json"))
                          for n in (1, 2)])

    def test_a_receiver_that_was_enrolled_after_the_backup_goes_on(self):
        office = self.office("office")
        self.publish(office, 20)
        self.backup()
        late = self.office("late", receive=True)
        late.launch()
        self.publish(office, 60)
        late.wait_received(40)
        self.assertEqual(late.process.stop(), 0)
        self.lose(late.dir / "checkpoint").start()
        self.join_again(late, "--receive-all", "--parts", "identity,contact,form,opinion")
        late.launch()
        self.publish(office, 70)
        wanted = {f"office-{i % 7}#{i}" for i in range(20, 70)}
        harness.wait_until("it has every record", lambda: {line["record_id"] for line in late.received()} == wanted)

    def test_only_the_same_node_of_the_same_hub_joins_again(self):
        office = self.office("office")
        before = (office.dir / "enrolment.json").read_bytes()
        other = harness.Office(self.world, self.hub, "another")
        other.dir = office.dir
        self.assertIn("holds a node already: 'office'", self.join_again(other, expect=1))
        stranger = self.world.hub("stranger").start()
        self.hub, hub = stranger, self.hub
        self.assertIn("its log key is another one", self.join_again(office, expect=1))
        self.assertEqual(stranger.ask("node", "list")["nodes"], [])
        self.hub = hub
        self.assertEqual((office.dir / "enrolment.json").read_bytes(), before)
        (office.dir / "node.key").unlink()
        self.assertIn("node.key", self.join_again(office, expect=1))
        self.assertFalse((office.dir / "node.key").exists())

    def test_a_second_loss_is_followed_too(self):
        office, quiet = self.office("office"), self.office("quiet")
        self.publish(office, 50)
        self.publish(quiet, 50)
        self.backup()
        self.publish(office, 80)
        self.publish(quiet, 70)
        self.lose(office.dir / "checkpoint").start()
        self.publish(office, 81)
        self.backup()
        self.publish(office, 90)
        self.hub.kill9()
        shutil.move(self.hub.dir, self.world.path / "gone-too")
        self.hub = self.restore("--checkpoint", office.dir / "checkpoint").start()
        self.publish(office, 91)
        self.publish(quiet, 71)  # knows only the first generation
        self.assertEqual(self.hub.ask("status")["origin"], "e2e.example/exchange/3")
        self.assertEqual(self.records(), self.expected(office, quiet))
        self.hub.verify()


if __name__ == "__main__":
    harness.main()
