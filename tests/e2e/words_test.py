"""Ordinary troubles: what is wrong is said in a sentence that names the thing, exit codes tell, and when the trouble is over
everything goes on and nothing is missing."""
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import unittest

import harness
from harness import wait_until

NUMBERS = re.compile(r"\berrno\b|\berror -?\d+\b|\bstatus -?\d+\b|\(null\)", re.I)


class Troubles(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)

    def hub_started(self):
        self.hub = self.world.hub().start()
        return self.hub

    def office(self, name="office", n=50):
        office = self.world.office(self.hub, name, publish=True)
        return self.rows(office, n)

    def rows(self, office, n, note=None):
        return office.write_rows([(self.case(office, i), i, "step", note or f"note {i}") for i in range(n)])

    def case(self, office, i):
        """A case holds a bounded number of records."""
        return f"case-{office.name}-{i // 100 * 7 + i % 7}"

    def says(self, text, *sentences):
        for sentence in sentences:
            self.assertIn(sentence, text)
        self.assertNotRegex(text, NUMBERS)

    def all_there(self, *counts):
        """counts: (office, n); each of their records once"""
        found = [event["header"]["record_id"] for event in self.hub.events()]
        expected = [f"{self.case(office, i)}#{i}" for office, n in counts for i in range(n)]
        self.assertEqual(sorted(found), sorted(expected))
        self.hub.verify()

    def hub_refuses(self, code, *sentences):
        """It does not start, and says why."""
        self.hub.launch()
        self.assertEqual(self.hub.process.finish(), code, self.hub.process.log())
        self.assertNotIn("HUB-READY", self.hub.process.log())
        self.says(self.hub.process.log(), *sentences)


class Identity(Troubles):
    def test_a_node_of_another_hub_is_told_that_the_key_may_be_another_one(self):
        self.hub_started()
        other = self.world.hub("other").start()
        office = harness.Office(self.world, other, "office").enrol(publish=True)
        self.rows(office, 20)
        office.launch("--once", "--set", f"endpoint={self.hub.endpoint}")
        office.process.wait_for("the hub ended the handshake; its key may be another one")
        office.process.wait_for("trying again in")
        self.assertEqual(office.process.stop(), 3)
        self.says(office.process.log(), "CB-NOT-ALLOWED", "RESULT STOPPED", "accepted=0")
        self.assertEqual(office.publish()["accepted"], 20)
        self.hub = other
        self.all_there((office, 20))

    def test_a_node_that_is_not_enrolled_is_refused_by_name_of_the_trouble_on_both_sides(self):
        self.hub_started()
        known = self.office("known")
        other = self.world.hub("other").start()
        office = harness.Office(self.world, other, "office").enrol(publish=True)
        enrolment = json.loads((office.dir / "enrolment.json").read_text())
        right = json.loads((known.dir / "enrolment.json").read_text())
        changed = {**enrolment, "hub_curve_key": right["hub_curve_key"], "endpoint": right["endpoint"]}
        (office.dir / "enrolment.json").write_text(json.dumps(changed))
        self.rows(office, 20)
        office.launch("--once")
        wait_until("the hub names it", lambda: "NODE-UNKNOWN" in self.hub.process.log().partition("HUB-READY")[2])
        office.process.wait_for("CB-NOT-ALLOWED")
        self.says(office.process.log(), "trying again in")
        self.assertEqual(office.process.stop(), 3)
        (office.dir / "enrolment.json").write_text(json.dumps(enrolment))
        self.assertEqual(office.publish()["accepted"], 20)

    def test_keys_of_two_nodes_mixed_up_are_found_before_anything_is_sent(self):
        self.hub_started()
        office, other = self.office(), self.office("other")
        for name in ("node.curve", "node.key"):
            shutil.copy2(office.dir / name, self.world.path / name)
            shutil.copy2(other.dir / name, office.dir / name)
            office.launch("--once")
            self.assertEqual(office.process.finish(), 3)
            self.says(office.process.log(), "the certificate is for another", "CB-CERTIFICATE",
                      "the files of one node belong together")
            shutil.copy2(self.world.path / name, office.dir / name)
        office.publish()
        self.all_there((office, 50))

    def test_another_hub_at_the_same_place_is_not_taken_for_the_right_one(self):
        self.hub_started()
        office = self.office()
        self.hub.stop()
        false = harness.Hub(self.world, "false", self.hub.endpoint).start()
        office.launch("--once")
        office.process.wait_for("SESSION-LOST")
        self.assertEqual(office.process.stop(), 3)
        self.says(office.process.log(), f"hub '{self.hub.endpoint}'")
        self.assertNotIn("SESSION-READY", office.process.log())
        false.stop()
        self.hub.start()
        office.publish()
        self.all_there((office, 50))

    def test_nobody_at_the_endpoint_is_a_sentence_and_the_rows_wait(self):
        self.hub_started()
        office = self.office()
        self.hub.stop()
        office.launch("--once")
        office.process.wait_for("nobody answers there")
        self.says(office.process.log(), f"hub '{self.hub.endpoint}'", "CB-NETWORK", "trying again in")
        self.hub.start()
        self.assertEqual(office.finish()["accepted"], 50)
        self.all_there((office, 50))


class Clocks(Troubles):
    def shifted(self, seconds):
        options = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        return {"LD_PRELOAD": str(harness.HELPERS / "clock_shim.so"), "CASEBUS_CLOCK_SHIFT": str(seconds),
                "ASAN_OPTIONS": options}

    def test_a_node_whose_clock_is_off_is_told_by_how_much_and_goes_on(self):
        self.hub_started()
        ahead, behind = self.office("ahead"), self.office("behind")
        ahead.publish(environment=self.shifted(3600))
        self.assertRegex(ahead.process.log(), r"CLOCK-SKEW .*the clock of this computer is (3599|3600|3601) s ahead of that of the hub")
        behind.publish(environment=self.shifted(-1800))
        self.assertRegex(behind.process.log(), r"CLOCK-SKEW .*the clock of this computer is (1799|1800|1801) s behind that of the hub")
        self.all_there((ahead, 50), (behind, 50))

    def test_a_hub_whose_clock_went_back_says_so_and_its_time_stands_still(self):
        self.hub_started()
        office = self.office()
        office.publish()
        self.hub.settle().stop()
        self.hub.start(environment=self.shifted(-3000))
        self.assertRegex(self.hub.process.log(),
                         r"CLOCK-BACK .*the newest ledger entry is (299\d|30\d\d) s ahead of this machine's clock")
        later = self.office("later")
        later.publish()
        times = [event["hub_time_us"] for event in self.hub.events()]
        self.assertEqual(times, sorted(times))
        self.all_there((office, 50), (later, 50))

    def test_a_clock_before_the_certificate_or_behind_its_end_is_a_sentence(self):
        self.hub_started()
        office = self.office()
        for shift in (-30 * 365 * 86400, 30 * 365 * 86400):
            office.launch("--once", environment=self.shifted(shift))
            self.assertEqual(office.process.finish(), 3, office.process.log())
            self.says(office.process.log(), "certificate", "CB-CERTIFICATE")
        office.publish()
        self.all_there((office, 50))


class Places(Troubles):
    def test_a_port_in_use_is_named(self):
        self.hub_started()
        second = harness.Hub(self.world, "second", self.hub.endpoint).init()
        second.launch()
        self.assertEqual(second.process.finish(), 1)
        self.says(second.process.log(), f"cannot listen on {self.hub.endpoint}: Address already in use")
        self.office().publish()

    def test_a_second_hub_on_one_directory_does_not_start(self):
        self.hub_started()
        second = self.world.run("casebus-hub", "run", self.hub.dir)
        self.assertEqual(second.code, 1)
        self.says(second.err, f"{self.hub.dir / 'lock'}' is held by process {self.hub.process.pid}", "CB-LOCKED",
                  "stop that process")
        office = self.office()
        office.publish()
        self.all_there((office, 50))

    def test_a_directory_that_is_no_hub_and_one_that_is_one_already(self):
        nothing = self.world.path / "nothing"
        done = self.world.run("casebus-hub", "run", nothing)
        self.assertEqual(done.code, 1)
        self.says(done.err, f"{nothing}/hub.yaml", "No such file", "make a hub with")
        self.hub_started().stop()
        done = self.world.run("casebus-hub", "init", self.hub.dir, "--origin", harness.ORIGIN)
        self.assertEqual(done.code, 1)
        self.says(done.err, f"there is a hub in {self.hub.dir} already", "CB-EXISTS")
        self.assertEqual(self.world.run("casebus-hub", "init", nothing, "--origin", "Bad Origin").code, 2)
        done = self.world.run("casebus-hub", "init", nothing, "--origin", harness.ORIGIN, "--suite", "rot13")
        self.assertEqual(done.code, 2)
        self.says(done.err, "--suite rot13", "expected intl, or gm")
        self.assertFalse(nothing.exists())

    def test_the_suite_of_a_hub_is_not_changed_by_a_word(self):
        other = {"intl": "gm", "gm": "intl"}[harness.SUITE]
        self.hub_started().stop()
        self.hub.set("suite", other)
        self.hub_refuses(1, f"hub.yaml says suite '{other}'", f"of suite '{harness.SUITE}'",
                         f"'suite: {harness.SUITE}'")
        self.hub.set("suite", harness.SUITE).start()
        status = self.hub.ask("status")
        self.assertEqual(status["suite"], harness.SUITE)

    def test_a_folder_with_a_key_of_the_other_suite_cannot_be_enrolled(self):
        other = {"intl": "gm", "gm": "intl"}[harness.SUITE]
        self.hub_started()
        stranger = self.world.hub("stranger")
        self.assertEqual(self.world.run("casebus-hub", "init", stranger.dir, "--origin", harness.ORIGIN, "--suite", other,
                                        "--listen", stranger.endpoint).code, 0)
        self.office()
        (self.world.path / "mixed").mkdir(mode=0o700)
        shutil.copy(stranger.dir / "keys" / "log.key", self.world.path / "mixed" / "node.key")
        done = self.hub.casebus("node", "add", "mixed", "--out", self.world.path / "mixed", "--department", "mixed",
                                "--area", "320100", "--publish")
        self.assertNotEqual(done.code, 0)
        self.says(done.err, "mixed/node.key", {"intl": "ED25519", "gm": "SM2"}[harness.SUITE])

    def test_faults_in_the_settings_are_told_all_at_once(self):
        self.hub_started().stop()
        settings = self.hub.dir / "hub.yaml"
        good = settings.read_text()
        bad = re.sub(r"listen: .*", "listen: 7400", good)
        settings.write_text(re.sub(r"log_level: .*", "log_level: loud", bad) + "wrkers: 2\n")
        self.hub_refuses(2, "listen: expected tcp://", "wrkers: there is no such setting", "log_level: expected debug")
        settings.write_text("a: [b\n")
        self.hub_refuses(2, "cannot be read as settings")
        settings.write_text(good)
        self.hub.start()

    def test_commands_to_a_hub_that_does_not_run(self):
        self.hub_started().stop()
        done = self.world.run("casebus", "status", "--hub", self.world.path / "nowhere")
        self.assertIn(done.code, (1, 3))
        self.says(done.err, "nowhere")
        done = self.world.run("casebus", "node", "add", "x", "--hub", self.hub.dir, "--out", self.world.path / "x",
                              "--department", "d", "--area", "320100", "--publish")
        self.assertEqual(done.code, 3)
        self.says(done.err, "casebus-hub run")
        self.assertEqual(self.world.run("casebus", "frobnicate").code, 2)


class Keys(Troubles):
    def test_a_missing_key_file_is_named(self):
        self.hub_started()
        office = self.office()
        self.hub.stop()
        for name in ("log.key", "authority.pem", "curve.key", "kek.key", "content.key"):
            path = self.hub.dir / "keys" / name
            path.rename(path.with_suffix(".away"))
            self.hub_refuses(1, str(path), "No such file or directory")
            path.with_suffix(".away").rename(path)
        self.hub.start()
        for name in ("node.key", "node.curve"):
            path = office.dir / name
            path.rename(path.with_suffix(".away"))
            office.launch("--once")
            self.assertEqual(office.process.finish(), 3)
            self.says(office.process.log(), str(path), "No such file or directory")
            path.with_suffix(".away").rename(path)
        office.publish()
        self.all_there((office, 50))

    def test_a_key_file_that_others_can_read_is_refused_with_the_remedy(self):
        self.hub_started()
        office = self.office()
        self.hub.stop()
        for name in ("log.key", "curve.key", "kek.key", "content.key"):
            path = self.hub.dir / "keys" / name
            path.chmod(0o644)
            self.hub_refuses(1, f"the key file '{path}' is open to others than its owner (mode 0644)", f"chmod 600 '{path}'")
            path.chmod(0o600)
        self.hub.start()
        for name in ("node.key", "node.curve"):
            path = office.dir / name
            path.chmod(0o640)
            office.launch("--once")
            self.assertEqual(office.process.finish(), 3)
            self.says(office.process.log(), f"the key file '{path}' is open to others", f"chmod 600 '{path}'")
            path.chmod(0o600)
        office.publish()
        self.all_there((office, 50))

    def test_a_key_file_that_holds_no_key_is_named(self):
        self.hub_started().stop()
        for name in ("log.key", "authority.pem", "curve.key", "kek.key", "content.key"):
            path = self.hub.dir / "keys" / name
            good = path.read_bytes()
            for bad in (b"", good[:20], b"\0" * 200, b"x" * 100000, good[::-1]):
                path.write_bytes(bad)
                self.hub.launch()
                self.assertEqual(self.hub.process.finish(), 1, (name, bad[:20], self.hub.process.log()))
                self.says(self.hub.process.log(), name)
            path.write_bytes(good)
        self.hub.start()


class Damage(Troubles):
    """Bytes on disk that changed. A copy of the undamaged directory brings everything back."""

    def setUp(self):
        super().setUp()
        self.hub_started()
        self.first = self.office("first", 300)
        self.first.publish()
        self.hub.settle().stop()
        harness.copy(self.hub.dir, self.world.path / "good")

    def restore(self):
        harness.copy(self.world.path / "good", self.hub.dir)

    def whole_again(self):
        self.restore()
        self.hub.start()
        self.all_there((self.first, 300))
        self.hub.stop()

    def flip(self, name, at, size=1):
        path = self.hub.dir / name
        with open(path, "r+b") as file:
            file.seek(at)
            old = file.read(size)
            file.seek(at)
            file.write(bytes(byte ^ 0xff for byte in old))

    def find(self, name, words):
        return (self.hub.dir / name).read_bytes().find(words)

    def verify_fails(self, *sentences):
        done = self.hub.casebus("ledger", "verify")
        self.assertEqual(done.code, 1, done.said)
        self.says(done.said, *sentences)
        return done

    def test_a_changed_ledger_entry_is_found_and_placed(self):
        at = self.find("ledger/data.mdb", b"casebus/v1/batch")
        self.assertGreater(at, 0)
        self.flip("ledger/data.mdb", at + 20)
        done = self.verify_fails("RESULT FAILED")
        self.assertRegex(done.out, r"RESULT FAILED .*position=\d+|RESULT FAILED .*code=CB-")
        self.whole_again()

    def test_damage_anywhere_in_the_ledgers_file_is_told_and_never_believed(self):
        """What verifies is what was there. LMDB itself may fall over a page that is broken enough; that is told, too, as
        the shell tells it, and nothing is taken for good."""
        root = self.hub.verify()["root"]
        size = (self.hub.dir / "ledger/data.mdb").stat().st_size
        told = fell = 0
        for _ in range(30):
            self.restore()
            self.flip("ledger/data.mdb", self.world.random.randrange(size - 64), 64)
            done = self.world.run("casebus", "ledger", "verify", "--json", "--hub", self.hub.dir, may_crash=True)
            self.assertNotRegex(done.said, NUMBERS)
            if done.code == 0:  # a page that nothing refers to
                self.assertEqual(done.json()["root"], root)
            elif done.code == 1:
                self.assertRegex(done.said, r"CB-[A-Z]+")
                told += 1
            else:
                fell += 1
        print(f"{told} of 30 damages were told, {fell} felled LMDB, {30 - told - fell} were nowhere", flush=True)
        self.assertGreater(told, 10)
        self.assertLess(fell, 8)
        self.whole_again()

    def test_a_ledger_that_is_no_ledger_is_named(self):
        for bad in (b"", b"\x5a" * 65536):
            (self.hub.dir / "ledger/data.mdb").write_bytes(bad)
            self.hub.launch()
            self.hub.process.finish()
            self.assertEqual(self.hub.process.code, 1, self.hub.process.log())
            self.says(self.hub.process.log(), "ledger")
        self.whole_again()

    def test_one_copy_of_the_vault_is_enough_and_both_damaged_are_named(self):
        self.flip("vault/a", 100, 400)
        self.hub.start()
        self.says(self.hub.process.log(), "VAULT-MENDED", "mended from the other")
        self.all_there((self.first, 300))
        self.hub.stop()
        for name in ("vault/a", "vault/b"):
            self.flip(name, 100, 400)
        self.hub.launch()
        wait_until("it ends or starts", lambda: self.hub.process.code is not None or "HUB-READY" in self.hub.process.log())
        if self.hub.process.code is None:  # a slot is missed when it is needed
            self.hub.process.stop()
            done = self.hub.casebus("ledger", "verify")
            self.assertEqual(done.code, 1)
            self.says(done.said, "vault")
        else:
            self.assertEqual(self.hub.process.code, 1)
            self.says(self.hub.process.log(), "vault")
        self.whole_again()

    def test_a_state_that_is_damaged_is_named_and_rebuilt(self):
        (self.hub.dir / "state/data.mdb").write_bytes(b"\x5a" * 65536)
        self.hub_refuses(1, "state")
        self.assertIn("rebuild", self.hub.process.log())
        self.hub.rebuild().start()
        self.all_there((self.first, 300))
        self.hub.stop()

    def test_what_only_the_journal_has_comes_back(self):
        """Acknowledged and not yet in the ledger when the hub is killed. Damage in the middle of a journal is journal_test's."""
        self.restore()
        self.hub.start()
        office = self.office("second", 9000)
        office.launch("--once")

        def much_is_in_the_journal_alone():
            status = self.hub.get("/v1/status")
            return status["committed_size"] - status["ledger_size"] > 500
        wait_until("the ledger is behind", much_is_in_the_journal_alone)
        self.hub.kill9()
        office.process.kill9()
        harness.copy(self.hub.dir, self.world.path / "killed")

        ledger_size = self.hub.ask("status")["ledger_size"]
        self.hub.start()
        committed = self.hub.settle().ask("status")["ledger_size"]
        self.hub.stop()
        self.assertGreater(committed, ledger_size)  # some of it may have followed before the kill
        harness.copy(self.world.path / "killed", self.hub.dir)
        self.hub.start()
        office.publish()
        self.all_there((self.first, 300), (office, 9000))

    def test_a_damaged_outbox_is_named_and_its_rows_can_be_sent_again(self):
        self.hub.start()
        office = self.office("second", 400)
        self.hub.stop()
        office.launch()
        office.process.wait_for("nobody answers there")
        office.process.stop()
        segment = office.dir / "outbox/00000001.seg"
        data = bytearray(segment.read_bytes())
        used = len(bytes(data).rstrip(b"\0"))
        for at in range(used // 3, used // 3 + 8):
            data[at] ^= 0xff
        segment.write_bytes(data)
        office.launch("--once")
        wait_until("it says something", lambda: office.process.code is not None or "nobody answers" in office.process.log())
        self.assertEqual(office.process.code, 3, f"it went on with a damaged outbox:\n{office.process.log()}")
        self.says(office.process.log(), "outbox", "CB-DAMAGED")
        self.hub.start()
        (office.dir / "outbox").rename(office.dir / "outbox.damaged")
        office.publish("--from-start")
        self.all_there((self.first, 300), (office, 400))


class FullDisks(Troubles):
    def mount(self, name, size):
        """A small disk; None when this machine does not let us."""
        place = self.world.path / name
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)], capture_output=True)
        if done.returncode != 0:
            self.skipTest(f"no small disk can be mounted here: {done.stderr.decode().strip()}")
        self.world.at_end.insert(0, lambda: subprocess.run(["umount", "-l", str(place)]))
        return place

    def fill(self, place, leave=0):
        """Takes all the room that is left but so much."""
        stat = os.statvfs(place)
        with open(place / "ballast", "wb") as file:
            try:
                while (free := os.statvfs(place).f_bavail * stat.f_frsize - leave) > 0:
                    file.write(b"\0" * min(free, 1 << 20))
                    file.flush()
            except OSError:
                pass

    def test_a_hub_on_a_full_disk_says_so_and_goes_on_when_there_is_room(self):
        place = self.mount("small", "160m")
        self.hub = harness.Hub(self.world, "small/hub", f"tcp://127.0.0.1:{self.world.free_port()}")
        self.hub.log_path = self.world.path / "hub.log"
        self.hub.init().set("keep_free_mb", 0).start()  # so that it comes to the last byte
        office = self.office("office", 30000)
        self.fill(place, 64 << 10)
        office.launch("--once")
        self.hub.process.wait_for("-FULL ")
        self.says(self.hub.process.log(), "nothing is lost", "No space left on device")
        self.assertIsNone(self.hub.process.code, "it waits")
        (place / "ballast").unlink()
        result = office.finish()
        self.assertEqual((result["code"], result["accepted"]), (0, 30000))
        self.all_there((office, 30000))
        self.hub.stop()

    def test_a_hub_on_a_full_disk_ends_when_asked_and_loses_nothing(self):
        place = self.mount("small", "160m")
        self.hub = harness.Hub(self.world, "small/hub", f"tcp://127.0.0.1:{self.world.free_port()}")
        self.hub.log_path = self.world.path / "hub.log"
        self.hub.init().set("keep_free_mb", 0).start()  # so that it comes to the last byte
        office = self.office("office", 30000)
        self.fill(place, 64 << 10)
        office.launch("--once")
        self.hub.process.wait_for("-FULL ")
        self.hub.process.stop(30)
        (place / "ballast").unlink()
        self.hub.start()
        self.assertEqual(office.finish()["code"], 0)
        self.all_there((office, 30000))

    def test_an_office_on_a_full_disk_says_so_and_goes_on_when_there_is_room(self):
        self.hub_started()
        office = self.office("office", 6000)
        place = self.mount("small", "6m")
        shutil.copytree(office.dir, place / "office")
        office.settings = ["--set", f"node={place / 'office'}"]
        self.hub.stop()  # so that everything stays in the outbox
        self.fill(place, 256 << 10)
        office.launch("--once")
        self.assertEqual(office.process.finish(), 3, office.process.log())
        self.says(office.process.log(), "No space left on device", "CB-DISK-FULL", "make room on this disk")
        (place / "ballast").unlink()
        self.hub.start()
        office.publish()
        self.all_there((office, 6000))

    def test_a_receiver_whose_disk_is_full_says_so_and_misses_nothing(self):
        self.hub_started()
        office = self.office("office", 6000)
        receiver = self.world.office(self.hub, "receiver", receive=True)
        place = self.mount("small", "6m")
        receiver.received_path = place / "received.jsonl"
        receiver.config.write_text(harness.SINK.format(node=receiver.dir, file=receiver.received_path))
        self.fill(place, 256 << 10)
        receiver.launch()
        office.publish()
        receiver.process.wait_for("SINK-FAILED")
        self.says(receiver.process.log(), "No space left on device", "deliveries wait at the hub until it works again")
        (place / "ballast").unlink()
        receiver.wait_received(6000)
        self.assertIn("SINK-WORKS", receiver.process.log())
        records = [line["record_id"] for line in receiver.received()]
        self.assertEqual(len(records), 6000)
        self.assertEqual(len(set(records)), 6000)

    def limit(self, size):
        """Files may not grow beyond it: what a full disk is where none can be mounted."""
        def before():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return before

    def test_a_hub_whose_files_may_not_grow_says_so_and_loses_nothing(self):
        self.hub_started()
        first = self.office("first", 100)
        first.publish()
        self.hub.settle().stop()
        size = max(path.stat().st_size for path in self.hub.dir.rglob("*.mdb"))
        self.hub.launch(before=self.limit(max(size + (256 << 10), 33554432)))
        self.hub.process.wait_for("HUB-READY")
        second = self.office("second", 60000)
        second.launch("--once")
        wait_until("it says so or all is done", lambda: "-FULL " in self.hub.process.log()
                   or self.hub.process.code is not None or second.process.code is not None)
        if second.process.code is None:
            self.says(self.hub.process.log(), "there is no room to write")
        self.hub.kill9()
        self.hub.start()
        self.assertEqual(second.finish()["code"], 0)
        self.all_there((first, 100), (second, 60000))


if __name__ == "__main__":
    harness.main()
