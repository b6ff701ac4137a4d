"""casebus ledger watch: an auditor who follows a hub through a restore, and what he is told when it cannot go on."""
import json
import shutil
import signal
import socket
import unittest
import urllib.request

import harness

NEXT = "e2e.example/exchange/2"


class Watches(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().init()
        self.hub.port = self.world.free_port()
        self.hub.set("monitor", f"127.0.0.1:{self.hub.port}").start()
        self.office = self.world.office(self.hub, "office", publish=True)
        self.token = self.hub.ask("auditor", "add", "audit")["token"]
        vkey = json.loads((self.office.dir / "enrolment.json").read_text())["log_key"]
        self.authority = self.world.path / "authority.pem"
        shutil.copy(self.hub.dir / "keys" / "authority.pem", self.authority)
        self.vkey = self.world.path / "log.vkey"
        self.vkey.write_text(f"{vkey}\n")
        self.keys, self.dest = self.world.path / "keys", self.world.path / "dest"
        harness.copy(self.hub.dir / "keys", self.keys)
        self.audit = self.world.path / "audit"
        self.rows = 0

    # ---- verbs ----

    def publish(self, n):
        self.rows += n
        self.office.write_rows([(f"case-{i % 5}", i, "step") for i in range(self.rows)])
        self.office.publish()
        return self.published()

    def published(self):
        """Waits until all is in a checkpoint that everybody can ask for; its size."""
        size = self.hub.settle().ask("status")["ledger_size"]
        harness.wait_until("all is published", lambda: self.checkpoint().startswith(f"{self.hub.ask('status')['origin']}\n{size}\n"))
        return size

    def checkpoint(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.hub.port}/checkpoint", timeout=harness.PATIENCE_S) as answer:
            return answer.read().decode()

    def backup(self):
        done = self.world.run("casebus-hub", "backup", self.hub.dir, self.dest)
        self.assertEqual(done.code, 0, done.said)

    def lose(self, *checkpoints):
        """The hub is gone; another one is made from the backup, at the same addresses."""
        self.hub.kill9()
        old, self.hub = self.hub, harness.Hub(self.world, "restored", self.hub.endpoint)
        self.hub.port = old.port
        done = self.world.run("casebus-hub", "restore", self.dest, self.hub.dir, "--keys", self.keys,
                              *[word for path in checkpoints for word in ("--checkpoint", path)])
        self.assertEqual(done.code, 0, done.said)
        self.hub.start()

    def node(self, *words, expect=0):
        done = self.hub.casebus("node", *words)
        self.assertEqual(done.code, expect, done.said)

    def enrols_anew(self, folder):
        """The operator enrols keys for the office's name; whose they are is for the office to say."""
        self.node("add", "office", "--department", "office", "--area", "320100", "--publish", "--out", folder)
        self.published()
        return folder / "enrolment.json"

    def words(self, where=None, vkeys=None, state=None):
        trust = [word for vkey in vkeys or [self.vkey] for word in ("--trust", f"{self.authority},{vkey}")]
        return ["ledger", "watch", where or f"http://127.0.0.1:{self.hub.port}", *trust, "--state", state or self.audit]

    def watch(self, expect, *options, **more):
        done = self.world.run("casebus", *self.words(**more), *options, "--once", "--json",
                              environment={"CASEBUS_TOKEN": self.token})
        self.assertEqual(done.code, expect, done.said)
        return done

    def next_vkey(self):
        export = self.world.path / "export"
        self.hub.ask("ledger", "export", export, "--no-entries")
        return export / "log.vkey"


class Watching(Watches):
    # ---- a restored hub ----

    def test_watch_goes_on_with_a_restored_hub_that_has_lost_nothing(self):
        size = self.publish(20)
        self.watch(0)
        self.backup()
        self.lose(self.office.dir / "checkpoint")
        now = self.publish(300)  # another bundle begins on the way
        done = self.watch(0)
        seen = done.json()
        self.assertEqual((seen["size"], seen["new"], seen["origin"]), (now, now - size, NEXT))
        self.assertNotIn("lost", seen)
        self.assertIn(f"entry {size}: the hub was restored and goes on as '{NEXT}'", done.err)
        self.assertIn("nothing that was shown to others is missing", done.err)
        self.assertEqual(self.watch(0).json()["new"], 0)

    def test_watch_that_runs_names_what_a_restored_hub_has_lost_and_goes_on(self):
        process = self.world.start(self.world.path / "watch.log", "casebus", *self.words(), "--every", 1,
                                   environment={"CASEBUS_TOKEN": self.token})
        size = self.publish(20)
        self.backup()
        shown = self.publish(300)
        process.wait_for(f"{shown} entries verified")
        self.lose(self.office.dir / "checkpoint")
        process.wait_for(" WATCH-LOST ")
        log = process.log()
        self.assertIn(f"goes on as '{NEXT}' from entry {size}: the entries {size} to {shown - 1}, which it had shown here, "
                      "are missing", log)
        self.assertIn(f"it says that entries {size} to {shown - 1} of '{harness.ORIGIN}' are missing", log)
        self.assertNotIn(" WATCH-LACKS ", log)  # and it admits them
        now = self.publish(5)
        process.wait_for(f"{now} entries verified")
        self.assertEqual(process.stop(), 0)
        kept, = self.audit.glob("before-*")
        self.assertIn(str(kept), log)
        self.assertEqual((kept / "checkpoint").read_text().splitlines()[:2], [harness.ORIGIN, str(shown)])
        self.assertTrue((kept / "ledger" / "data.mdb").exists())
        self.assertEqual(self.watch(0).json()["size"], now)

    def test_hub_that_does_not_admit_what_it_had_signed_is_told(self):
        size = self.publish(20)
        self.backup()
        shown = self.publish(10)
        self.watch(0)
        self.lose()  # nobody's checkpoint is given
        self.published()
        done = self.watch(1)
        kept, = self.audit.glob("before-*")
        self.assertEqual(done.json()["result"], "LOST")
        self.assertEqual(done.json()["lost"], [{"from": size, "to": shown - 1, "kept": str(kept)}])
        for copy in (kept, self.audit):  # of what was, and of what is
            entries = self.world.run("casebus", "ledger", "dump", "--from", size, "--hub", copy)
            self.assertEqual(entries.code, 0, entries.said)
            entries = [json.loads(line) for line in entries.out.splitlines()]
            self.assertEqual(entries[0]["position"], size)
            self.assertEqual(entries[-1]["position"], (shown if copy == kept else done.json()["size"]) - 1)
            self.assertEqual("ledger_opened" in json.dumps(entries[0]), copy != kept)
            verified = self.world.run("casebus", "ledger", "verify", "--json", "--hub", copy)
            self.assertEqual((verified.code, verified.json()["result"]), (0, "OK"), verified.said)
        self.assertEqual(self.world.run("casebus", "status", "--hub", kept).code, 1)  # it is no hub
        self.assertIn(f"the hub names {size} entries as the most that anybody had seen, but had signed {shown} here", done.err)
        self.assertNotIn("lost", self.watch(0).json())  # told once

    def test_watch_that_begins_with_a_restored_hub_reads_all_generations(self):
        size = self.publish(20)
        self.backup()
        self.watch(0, state=self.world.path / "before")
        shown = self.publish(10)
        self.lose(self.office.dir / "checkpoint")
        now = self.publish(5)
        new = self.next_vkey()
        for vkeys, state in ([self.vkey], "old key"), ([new], "new key"), ([self.vkey, new], "both"), ([new], "before"):
            done = self.watch(0, vkeys=vkeys, state=self.world.path / state)
            self.assertEqual((done.json()["size"], done.json()["origin"]), (now, NEXT))
            self.assertIn(f"it says that entries {size} to {shown - 1} of '{harness.ORIGIN}' are missing", done.err)

    def test_hub_of_before_the_restore_is_told_from_the_restored_one(self):
        size = self.publish(20)
        self.backup()
        gone = self.hub
        self.publish(10)
        self.lose(self.office.dir / "checkpoint")
        self.published()
        self.watch(0)
        self.hub.stop()
        gone.start()
        done = self.watch(3)
        self.assertEqual(done.json()["code"], "CB-BEHIND")
        self.assertIn(f"a checkpoint of '{harness.ORIGIN}' is shown, but the hub goes on as '{NEXT}' since entry {size}", done.err)
        self.assertIn("must not run any more", done.err)

    # ---- whose key is it ----

    def test_what_nodes_may_still_do_is_told(self):
        self.publish(3)
        for verb in ("suspend", "resume"):
            self.node(verb, "office", "--why", "a test")
        self.published()
        told = self.watch(0).err
        self.assertIn(" WATCH-SUSPENDED ", told)
        self.assertIn(" WATCH-RESUMED ", told)
        self.node("revoke", "office", "--why", "a test", "--yes")
        self.published()
        done = self.watch(0)
        self.assertIn(" WATCH-REVOKED ", done.err)
        self.assertIn("for the next key of that name the hub's operator alone vouches", done.err)
        self.assertNotIn("vouched", done.json())

    def test_key_that_the_operator_minted_behind_a_revocation_fails_each_look_until_it_is_accepted(self):
        self.publish(3)
        self.watch(0)
        self.node("revoke", "office", "--why", "a test", "--yes")
        new = self.enrols_anew(self.world.path / "minted")
        for state in (self.audit, self.audit, self.world.path / "another"):  # one that begins later asks as well
            done = self.watch(1, state=state)
            seen, = done.json()["vouched"]
            self.assertEqual((done.json()["result"], seen["node"], seen["department"], seen["accepted"], seen["first"]),
                             ("VOUCHED", "office", "office", False, False))
            self.assertIn(f"entry {seen['position']}: the hub's operator alone vouches for the key of node 'office'", done.err)
            self.assertIn(f"--accept-key {seen['key']}", done.err)
            self.assertNotIn(" WATCH-OK ", done.err)
        self.assertEqual(seen["key"], self.hub.nodes()["office"]["key_id"])
        self.assertEqual(self.watch(1, "--accept-key", self.office.dir / "enrolment.json").json()["result"], "VOUCHED")  # the old one
        done = self.watch(0, "--accept-key", new)
        self.assertEqual((done.json()["result"], done.json()["vouched"][0]["accepted"]), ("OK", True))
        self.assertEqual(self.watch(0).json()["result"], "OK")
        self.assertEqual(self.watch(0, "--accept-key", seen["key"], state=self.world.path / "another").json()["result"], "OK")
        words = self.watch(1, "--accept-key", "0123").err
        self.assertIn("0123", words)
        self.node("revoke", "office", "--why", "once more", "--yes")
        self.enrols_anew(self.world.path / "third")  # what was accepted says nothing about the next one
        self.assertEqual([key["accepted"] for key in self.watch(1).json()["vouched"]], [True, False])

    def test_watch_that_runs_goes_on_while_a_key_is_not_accepted_and_hears_when_it_is(self):
        process = self.world.start(self.world.path / "watch.log", "casebus", *self.words(), "--every", 1,
                                   environment={"CASEBUS_TOKEN": self.token})
        self.publish(3)
        self.node("revoke", "office", "--why", "a test", "--yes")
        self.enrols_anew(self.world.path / "minted")
        process.wait_for(" WATCH-VOUCHED ")
        other = self.world.office(self.hub, "other", publish=True)
        other.write_rows([("case-9", 1, "step")])
        other.publish()
        self.published()
        process.wait_for(" enrols a key for node 'other' ")
        process.popen.send_signal(signal.SIGTERM)
        self.assertEqual(process.finish(), 1)
        later = self.world.start(self.world.path / "later.log", "casebus", *self.words(), "--every", 1,
                                 environment={"CASEBUS_TOKEN": self.token})
        later.wait_for(" WATCH-VOUCHED ")
        self.assertNotIn(" WATCH-OK ", later.log())
        (self.audit / "accepted").write_text(f"{self.hub.nodes()['office']['key_id']}  # says Li, by telephone\n")
        later.wait_for(" WATCH-OK ")
        self.assertEqual(later.stop(), 0)

    def test_department_that_watches_itself_is_asked_about_each_first_key(self):
        self.publish(3)
        office = self.office.dir / "enrolment.json"
        self.assertEqual(self.watch(0, "--department", "office", "--accept-key", office).json()["result"], "OK")
        self.node("add", "office-2", "--department", "office", "--area", "320100", "--publish", "--out", self.world.path / "minted")
        self.published()
        self.watch(0, state=self.world.path / "another")
        seen = self.watch(1, "--department", "office").json()["vouched"]
        self.assertEqual([(key["node"], key["first"], key["accepted"]) for key in seen],
                         [("office", True, True), ("office-2", True, False)])

    # ---- what is no alarm ----

    def test_older_tree_that_agrees_is_behind_and_no_alarm(self):
        old = self.world.path / "old"
        size = self.publish(20)
        self.hub.ask("ledger", "export", old)
        now = self.publish(10)
        self.watch(0)
        done = self.watch(3, where=old)
        self.assertEqual((done.json()["result"], done.json()["code"]), ("UNKNOWN", "CB-BEHIND"))
        self.assertIn(f"an older tree of {size} entries is shown; {now} were seen before, and agree with it", done.err)
        self.assertIn(" WATCH-BEHIND ", done.err)
        self.assertFalse((self.audit / "evidence").exists())
        self.assertEqual(self.watch(0).json()["size"], now)

    def test_address_of_something_else_is_no_alarm(self):
        done = self.watch(3, where=f"http://127.0.0.1:{self.world.free_port()}")
        self.assertIn(" WATCH-SILENT ", done.err)
        page = self.world.path / "page"
        page.mkdir()
        (page / "checkpoint").write_text("<html>It works!</html>\n")
        self.assertIn("what is shown as the checkpoint is none", self.watch(3, where=page).err)

    def test_interrupt_ends_a_look_at_once(self):
        self.publish(3)
        process = self.world.start(self.world.path / "watch.log", "casebus", *self.words(), "--every", 3600,
                                   environment={"CASEBUS_TOKEN": self.token})
        process.wait_for(" WATCH-OK ")
        process.popen.send_signal(signal.SIGINT)
        self.assertEqual(process.finish(), 0)
        hung = self.world.start(self.world.path / "hung.log", "casebus",
                                *self.words(where=f"http://127.0.0.1:{self.deaf()}", state=self.world.path / "other"))
        harness.wait_until("it holds its directory", (self.world.path / "other" / "lock").exists)
        hung.popen.send_signal(signal.SIGTERM)
        self.assertEqual(hung.finish(), 3)
        self.assertIn(" WATCH-STOPPED ", hung.log())

    def deaf(self):
        """A port that takes connections and says nothing."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        return listener.getsockname()[1]


if __name__ == "__main__":
    harness.main()
