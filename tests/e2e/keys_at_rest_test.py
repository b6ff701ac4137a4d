"""Keys at rest: under a passphrase on disk, locked and out of sight in memory."""
import os
import pty
import resource
import select
import shutil
import signal
import subprocess
import sys
import termios
import unittest

import harness

SENTENCE_NONE, SENTENCE_WRONG = "is under a passphrase, and none was given", "does not open the key file"
LOCKED = 77
WRAPPED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


def passphrase_file(world, name, words):
    path = world.path / name
    path.touch(mode=0o600)
    path.write_text(words + "\n")
    return path


def secrets(folder):
    return [path for path in folder.iterdir() if path.suffix in (".key", ".curve")]


class Disk(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.first = passphrase_file(self.world, "first", "a quiet office by the river")
        self.second = passphrase_file(self.world, "second", "另一句口令")

    def run_hub(self, hub, *words):
        return self.world.run("casebus-hub", *words[:1], hub.dir, *words[1:])

    def test_a_hub_and_its_office_work_with_keys_under_a_passphrase(self):
        hub = self.world.hub().start()
        office = self.world.office(hub, "office", publish=True)
        office.write_rows([(f"case-{i}", i, "apply") for i in range(20)])
        self.assertIn("stop the hub first", self.run_hub(hub, "passphrase", "--new-passphrase-file", self.first).said)
        hub.stop()
        plain = {path.name: path.read_bytes() for path in secrets(hub.dir / "keys")}
        self.assertEqual(self.run_hub(hub, "passphrase", "--new-passphrase-file", self.first).code, 0)
        for path in secrets(hub.dir / "keys"):
            self.assertTrue(path.read_bytes().startswith(WRAPPED), path)
            self.assertNotIn(plain[path.name].splitlines()[-1], path.read_bytes(), path)
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)

        done = self.run_hub(hub, "run")
        self.assertEqual(done.code, LOCKED, done.said)
        self.assertIn(SENTENCE_NONE, done.err)
        done = self.run_hub(hub, "run", "--passphrase-file", self.second)
        self.assertEqual(done.code, LOCKED, done.said)
        self.assertIn(SENTENCE_WRONG, done.err)
        self.first.chmod(0o644)
        done = self.run_hub(hub, "run", "--passphrase-file", self.first)
        self.assertEqual(done.code, LOCKED, done.said)
        self.assertIn("open to others than its owner (mode 0644)", done.err)
        self.first.chmod(0o600)

        # As systemd hands it over; the authority's key is opened when somebody is enrolled.
        credentials = self.world.path / "credentials"
        credentials.mkdir()
        shutil.copy(self.first, credentials / "casebus.passphrase")
        hub.start(environment={"CREDENTIALS_DIRECTORY": str(credentials)})
        self.world.office(hub, "second-office", publish=True)

        words = [self.world.path / "office"]
        done = self.world.run("casebus-adapter", "passphrase", *words, "--new-passphrase-file", self.second)
        self.assertEqual(done.code, 0, done.said)
        for path in secrets(office.dir):
            self.assertTrue(path.read_bytes().startswith(WRAPPED), path)
        office.publish(expect=LOCKED)
        self.assertIn(SENTENCE_NONE, office.process.log())
        office.publish("--passphrase-file", str(self.second))
        self.assertEqual(office.process.code, 0)
        hub.stop()
        # The key of the vault changes under the same passphrase, and a person may do without any again.
        self.assertEqual(self.run_hub(hub, "rotate-kek").code, LOCKED)
        self.assertEqual(self.run_hub(hub, "rotate-kek", "--passphrase-file", self.first).code, 0)
        self.assertTrue((hub.dir / "keys/kek.key").read_bytes().startswith(WRAPPED))
        self.assertEqual(self.run_hub(hub, "passphrase", "--remove").code, LOCKED)
        self.assertEqual(self.run_hub(hub, "passphrase", "--remove", "--passphrase-file", self.first).code, 0)
        for path in secrets(hub.dir / "keys"):
            if path.name != "kek.key":
                self.assertEqual(path.read_bytes(), plain[path.name], path)
        hub.start()
        self.assertEqual(hub.verify()["events"], 20)

    def test_a_key_under_a_passphrase_is_what_openssl_reads(self):
        hub = self.world.hub().init()
        self.assertEqual(self.run_hub(hub, "passphrase", "--new-passphrase-file", self.first).code, 0)
        if not shutil.which("openssl"):
            self.skipTest("there is no openssl command")
        read = subprocess.run(["openssl", "pkey", "-in", hub.dir / "keys/log.key", "-passin", f"file:{self.first}",
                               "-noout"], capture_output=True, timeout=harness.PATIENCE_S)
        self.assertEqual(read.returncode, 0, read.stderr)
        wrong = subprocess.run(["openssl", "pkey", "-in", hub.dir / "keys/log.key", "-passin", f"file:{self.second}",
                                "-noout"], capture_output=True, timeout=harness.PATIENCE_S)
        self.assertNotEqual(wrong.returncode, 0)


class Terminal(unittest.TestCase):
    """A person before a terminal."""

    def talk(self, words, answers):
        """Runs @words in a terminal of its own; answers: (what is asked, what is typed). (exit code, all that was shown)"""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(words[0], list(map(str, words)), harness.ENVIRONMENT)
        shown = b""
        answers = list(answers)
        while True:
            ready, _, _ = select.select([terminal], [], [], harness.PATIENCE_S)
            try:
                block = os.read(terminal, 4096) if ready else b""
            except OSError:  # it has ended
                block = b""
            if not block:
                break
            shown += block
            if answers and answers[0][0] in shown.decode(errors="replace"):
                os.write(terminal, (answers.pop(0)[1] + "\n").encode())
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")

    def test_a_person_is_asked_and_nothing_typed_is_shown(self):
        world = harness.World(self)
        node = world.path / "node"
        node.mkdir()
        (node / "node.curve").touch(mode=0o600)
        (node / "node.curve").write_text("a secret\n")
        words = [harness.BIN / "casebus-adapter", "passphrase", node]
        code, shown = self.talk(words, [("New passphrase:", "open sesame"), ("Once more:", "open sesam")])
        self.assertEqual(code, LOCKED, shown)
        self.assertIn("not the same", shown)
        code, shown = self.talk(words, [("New passphrase:", "open sesame"), ("Once more:", "open sesame")])
        self.assertEqual(code, 0, shown)
        self.assertNotIn("sesame", shown)
        self.assertTrue((node / "node.curve").read_bytes().startswith(WRAPPED))
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(words[0], list(map(str, [*words, "--remove"])), harness.ENVIRONMENT)
        shown = b""
        while b"Passphrase of" not in shown:
            shown += os.read(terminal, 4096)
        self.assertFalse(termios.tcgetattr(terminal)[3] & termios.ECHO)
        end = os.pidfd_open(pid)
        os.write(terminal, b"open")
        while not select.select([end], [], [], 0.2)[0]:
            os.write(terminal, b"\x03")  # ^C; again: libbsd does not see one that comes just before it reads
        os.close(end)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), -signal.SIGINT)
        self.assertTrue(termios.tcgetattr(terminal)[3] & termios.ECHO)
        os.close(terminal)
        code, shown = self.talk([*words, "--remove"], [("Passphrase of", "open barley")])
        self.assertEqual(code, LOCKED, shown)
        self.assertIn(SENTENCE_WRONG, shown)
        code, shown = self.talk([*words, "--remove"], [("Passphrase of", "open sesame")])
        self.assertEqual(code, 0, shown)
        self.assertEqual((node / "node.curve").read_text(), "a secret\n")


# Root may look everywhere: it gives its capabilities up, on both sides alike.
ORDINARY = [shutil.which("setpriv"), "--bounding-set=-all"] if os.geteuid() == 0 else []


class Memory(unittest.TestCase):
    def start(self, **environment):
        self.world = harness.World(self)
        hub = self.world.hub().init()
        words = [*ORDINARY, str(harness.BIN / "casebus-hub"), "run", hub.dir]
        hub.process = self.world.start(hub.log_path, *words, environment=environment, before=self.wish_for_a_core)
        hub.process.wait_for(" HUB-READY ")
        return hub

    @staticmethod
    def wish_for_a_core():
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # a shell's background jobs are born without it

    def look(self, pid, name):
        """What another process of the same account gets to see."""
        return subprocess.run([*ORDINARY, sys.executable, "-c", f"open('/proc/{pid}/{name}', 'rb').read(1)"],
                              capture_output=True, timeout=harness.PATIENCE_S)

    def core_limit(self, pid):
        with open(f"/proc/{pid}/limits") as file:
            return next(line.split()[4:6] for line in file if line.startswith("Max core file size"))

    def test_nobody_of_the_same_account_reads_a_hub_s_memory_and_it_leaves_no_core(self):
        hub = self.start()
        for name in ("maps", "environ", "mem"):
            looked = self.look(hub.process.pid, name)
            self.assertNotEqual(looked.returncode, 0, name)
            self.assertIn(b"PermissionError", looked.stderr, name)
        self.assertEqual(self.core_limit(hub.process.pid), ["0", "0"])
        if not os.environ.get("CASEBUS_SANITIZE"):  # a sanitizer leaves mlock out
            self.assertGreater(hub.process.memory_kib("VmLck"), 0)
        os.kill(hub.process.pid, signal.SIGQUIT)
        status = harness.wait_until("it has ended", lambda: os.waitpid(hub.process.pid, os.WNOHANG)[1])
        hub.process.popen.returncode = -signal.SIGQUIT
        self.assertEqual(os.WTERMSIG(status), signal.SIGQUIT)
        self.assertFalse(os.WCOREDUMP(status))

    def test_a_developer_can_look_in_and_the_log_says_so(self):
        hub = self.start(CASEBUS_DUMPABLE="1")
        looked = self.look(hub.process.pid, "maps")
        self.assertEqual(looked.returncode, 0, looked.stderr)
        self.assertIn(" MEMORY-OPEN ", hub.process.log())

    def test_a_hub_that_may_lock_too_little_says_so(self):
        if os.environ.get("CASEBUS_SANITIZE"):
            self.skipTest("a sanitizer leaves mlock out")
        world = harness.World(self)
        hub = world.hub().init()
        bare = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else ["env"]
        done = world.run(shutil.which(bare[0]), *bare[1:], harness.BIN / "casebus-hub", "run", hub.dir,
                         before=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (4096, 4096)))
        self.assertEqual(done.code, 1)
        self.assertIn("LimitMEMLOCK", done.err)


if __name__ == "__main__":
    harness.main()
