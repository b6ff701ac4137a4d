"""Erasures and backups meet: a backup that is killed at any step, an erasure that comes in the middle of one.

At every moment a copy is the former one or the new one, both of which can be restored; and when a backup is complete,
nothing of what was erased opens in it, with its own vault and the hub's keys.
"""
import json
import os
import shutil
import signal
import unittest

import backup_test
import harness

SHIM = str(harness.HELPERS / "kill_shim.so")
GONE, PARTED, KEPT = "MARK-1-secret", "MARK-2-secret", "MARK-3-secret"  # in the cases 1 to 3
SLOW = harness.PATIENCE_S > 100  # with sanitizers
RULE = {n: f'- item: "*"\n  days: {3650 + n}\n' for n in (0, 20)}  # of the copy that lacks so many contents
STRIDE = int(os.environ.get("CASEBUS_STRIDE", "24" if SLOW else "8"))  # of the sweeps; 1: every step


class Base(backup_test.Restores):
    def setUp(self):
        super().setUp()
        self.desk = self.office("desk")

    # ---- steps ----

    def story(self, n=40):
        """Four cases, copied; then all of one is erased and the texts of another, and something new comes."""
        self.tell(n)
        (self.hub.dir / "retention.yaml").write_text(RULE[0])
        self.backup()
        (self.hub.dir / "retention.yaml").write_text(RULE[20])
        self.erase("case-1")
        self.erase("case-2", "--parts", "form")
        self.tell(n + 8, marked=n)

    def tell(self, n, marked=10000):
        self.desk.write_rows([(f"case-{i % 4}", i, "step", f"MARK-{i % 4}-secret" if i < marked else KEPT)
                              for i in range(n)])
        self.desk.publish()

    def erase(self, case, *words, expect=0):
        done = self.hub.casebus("erase", "--case", case, *words, "--order", "by decision 7", "--yes")
        self.assertEqual(done.code, expect, done.said)

    def shimmed(self, at, **more):
        return {"LD_PRELOAD": SHIM, "KILL_WHEN": "/", "KILL_AT": str(at), "KILL_NAMES": "1", **more}

    def stopped_backup(self, at, **more):
        """A backup that stands still right before a step; or has ended."""
        process = self.world.start(self.world.path / "backup.log", "casebus-hub", "backup", self.hub.dir, self.dest,
                                   environment=self.shimmed(at, KILL_WITH="STOP", **more))
        self.addCleanup(process.kill9)  # what stands still hears no SIGTERM
        self.wait_stopped(process)
        return process

    def wait_stopped(self, process):
        def stands():
            with open(f"/proc/{process.pid}/stat") as file:
                return process.code is not None or file.read().rpartition(")")[2].split()[0] == "T"
        harness.wait_until("the backup stands still", stands)

    def go_on(self, process):
        process.popen.send_signal(signal.SIGCONT)
        self.assertEqual(process.finish(), 0, process.log())

    # ---- looking ----

    def attack(self, *markers):
        """What opens in the copy, with the copy's vault and the hub's keys."""
        stolen = self.world.path / "stolen"
        shutil.rmtree(stolen, ignore_errors=True)
        shutil.copytree(self.dest, stolen)
        shutil.copytree(self.hub.dir / "keys", stolen / "keys")
        (stolen / "vault").mkdir()
        vaults = list(self.dest.glob("vault-*"))
        self.assertEqual(len(vaults), 1)
        for name in "ab":
            shutil.copy(vaults[0], stolen / "vault" / name)
        done = self.world.run(str(harness.HELPERS / "open_all"), stolen, *markers, timeout=240)
        self.assertEqual(done.code, 0, done.said)
        return list(done.json()["markers"].values())

    def assert_erased(self, *gone):
        self.check()
        *counts, kept = self.attack(*gone, KEPT)
        self.assertEqual(counts, [0] * len(gone))
        self.assertGreater(kept, 0)

    def assert_restores(self):
        """Into a hub of which every entry, proof and missing content is accounted for. Returns what it lacks."""
        restored = self.restore()
        erased = restored.verify()["erased"]
        rule = restored.dir / "retention.yaml"
        if rule.exists():
            self.assertEqual(rule.read_text(), RULE[erased])
        shutil.rmtree(restored.dir)
        return erased


class Killed(Base):
    def test_a_kill_at_any_step_leaves_the_former_copy_or_the_new_one(self):
        self.story()
        former = self.world.path / "former"
        harness.copy(self.dest, former)
        before, step, killed, seen = self.manifest(), self.world.random.randrange(1, STRIDE + 1), True, set()
        first = step
        while killed:
            shutil.rmtree(self.dest)
            harness.copy(former, self.dest)
            done = self.world.run("casebus-hub", "backup", self.hub.dir, self.dest, environment=self.shimmed(step))
            killed = done.code == -signal.SIGKILL
            self.assertTrue(killed or done.code == 0, done.said)
            erased = self.assert_restores()
            self.assertIn(erased, (20, 0), f"step {step}")
            seen.add(erased)
            if self.manifest() != before:
                self.assertEqual(erased, 20, f"step {step}")
            self.backup()
            self.assert_erased(GONE, PARTED)
            self.assertEqual(len(list((self.dest / "papers").glob("retention.yaml.*"))), 1)
            step += STRIDE
        print(f"\nseed {harness.SEED}: steps {first}, {first + STRIDE}, ... {step - STRIDE}", flush=True)
        self.assertIn(20, seen)

    def test_the_very_first_backup_can_be_killed_anywhere(self):
        self.tell(20)
        step, killed = self.world.random.randrange(1, 2 * STRIDE + 1), True
        while killed:
            shutil.rmtree(self.dest, ignore_errors=True)
            done = self.world.run("casebus-hub", "backup", self.hub.dir, self.dest, environment=self.shimmed(step))
            killed = done.code == -signal.SIGKILL
            self.backup()
            self.check()
            step += 2 * STRIDE
        self.assert_restores()


class Meanwhile(Base):
    """The hub erases while a backup runs."""

    def test_what_is_erased_between_the_copy_of_contents_and_that_of_keys_is_erased_in_both(self):
        self.tell(40)
        backup = self.stopped_backup(1, KILL_NAME="/vault-")
        self.erase("case-1")
        self.erase("case-2", "--parts", "form")
        self.go_on(backup)
        self.assert_erased(GONE, PARTED)
        self.assertEqual(self.assert_restores(), 20)

    def test_an_erasure_at_any_step_of_a_backup_leaves_copy_and_keys_of_one_moment(self):
        """What the copy holds is accounted for; and the next one has it erased."""
        self.tell(16)
        self.backup()
        step, n, ended = self.world.random.randrange(1, 2 * STRIDE + 1), 16, False
        while not ended:
            n += 4
            self.tell(n)
            backup = self.stopped_backup(step)
            ended = backup.code is not None
            self.erase("case-1")
            self.go_on(backup)
            self.check()
            self.assert_restores()
            step += 2 * STRIDE
        self.backup()
        self.assert_erased(GONE)

    def test_a_hub_that_never_stops_erasing_is_named_and_the_former_copy_stays(self):
        n = 80
        self.desk.write_rows([(f"case-{i}", i, "step", "MARK-3-secret") for i in range(n)])
        self.desk.publish()
        self.backup()
        before = self.manifest()
        backup = self.stopped_backup(0, KILL_NAME="/vault-")
        for i in range(n):
            if backup.code is not None:
                break
            self.erase(f"case-{i}")
            backup.popen.send_signal(signal.SIGCONT)
            self.wait_stopped(backup)
        self.assertEqual(backup.code, 1)
        self.assertIn("CB-BUSY", backup.log())
        self.assertIn("the former backup is as it was", backup.log())
        self.assertEqual(self.manifest(), before)
        self.check()
        self.assertEqual(self.assert_restores(), 0)
        self.backup()
        self.assert_erased()
        self.assertEqual(self.assert_restores(), i)


class Orders(Base):
    def dies(self, when):
        """Or has done what was ordered, and is not killed any more."""
        def over():
            if self.hub.process.code is not None:
                return "died"
            answer = self.hub.casebus("erasure", "list", "--json")
            orders = json.loads(answer.out)["erasures"] if answer.code == 0 else []
            return "erased" if orders and all(order.get("done_at_us") for order in orders) else None
        harness.wait_until("the hub dies or has erased", over)
        when.unlink()
        return self.hub.process.code is not None or not self.hub.process.wait_for(" HUB-READY ")

    def killed_in_erasing(self):
        """With the order in its ledger, and nothing done about it."""
        whole, step = self.world.path / "whole", 1
        self.hub.stop()
        harness.copy(self.hub.dir, whole)
        while True:
            harness.copy(whole, self.hub.dir)
            when = self.world.path / "when"
            self.hub.start(environment=self.shimmed(step, KILL_WHEN=str(when)))
            when.touch()
            self.hub.casebus("erase", "--case", "case-1", "--order", "by decision 7", "--yes")
            self.assertTrue(self.dies(when), "the whole erasure was not seen to be cut")
            self.backup()  # brings the ledger up to the journal
            if self.manifest()["orders_from"] < self.manifest()["size"]:
                return
            step += 1

    def test_an_order_older_than_the_former_copy_is_followed_when_its_work_is_done(self):
        """The hub dies in the middle of an erasure, is copied, goes on with it, dies a little later, is copied again."""
        self.tell(40)
        self.backup()
        self.killed_in_erasing()
        ordered = self.manifest()["orders_from"]
        self.assertEqual(self.assert_restores(), 0)
        step, seen = self.world.random.randrange(1, 4), set()
        while True:
            when = self.world.path / "when"
            when.touch()
            self.hub.launch(environment=self.shimmed(step, KILL_WHEN=str(when)))
            died = self.dies(when)
            self.backup()
            self.check()
            seen.add((self.manifest()["orders_from"] == ordered, self.assert_restores()))
            if not died:
                break
            step += 3
        self.assert_erased(GONE)
        print(f"\nseed {harness.SEED}: killed up to step {step}; pending, erased: {sorted(seen)}", flush=True)
        self.assertIn((True, 10), seen)  # its work was done, but it did not say so yet
        self.assertIn((False, 10), seen)

    def test_content_under_a_destroyed_key_is_named(self):
        self.tell(40)
        self.backup()
        harness.copy(self.dest, self.world.path / "former")
        self.erase("case-1")
        self.backup()
        now = next(self.dest.glob("vault-*")).read_bytes()
        self.dest = self.world.path / "former"
        self.forge(now)
        self.assertIn("was destroyed at the hub, but its sealed bytes are still in the copy", self.check(expect=1).err)

    def test_the_files_of_two_backups_are_not_taken_for_one(self):
        self.tell(20)
        self.backup()
        former = (self.dest / "backup.json").read_text()
        self.tell(40)
        self.backup()
        (self.dest / "backup.json").write_text(former)
        self.assertIn("describes another copy", self.check(expect=1).err)


if __name__ == "__main__":
    harness.main()
