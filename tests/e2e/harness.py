"""What the end-to-end tests stand on: a world of real programs, real sockets, real files.

    world = World(self)                                # a unittest.TestCase: cleaned up with it
    hub = world.hub().start()
    office = world.office(hub, "office", publish=True)
    office.write_rows([("case-1", 1, "apply")])
    office.publish()                                   # one run of casebus-adapter, to its end

Nothing here is imported from casebus. Every wait has a deadline, every process is known by its id and ended by it, every
random choice comes from SEED, which is printed and can be set with CASEBUS_SEED. Programs are taken from
$CASEBUS_BUILD/bin (build/bin without it).
"""
import atexit
import contextlib
import csv
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CASEBUS_BUILD", REPO / "build")).resolve()
BIN = BUILD / "bin"
HELPERS = BUILD / "tests"
SEED = int(os.environ.get("CASEBUS_SEED") or random.SystemRandom().randrange(1 << 32))
ORIGIN = "e2e.example/exchange/1"
SUITE = os.environ.get("CASEBUS_SUITE", "intl")  # of the hubs: intl or gm
HASH = {"intl": "sha256", "gm": "sm3"}[SUITE]
PATIENCE_S = float(os.environ.get("CASEBUS_PATIENCE", "60"))  # how long anything single may take; sanitizers are slow
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "en", "NO_COLOR": "1"}
ENVIRONMENT.pop("CASEBUS_HUB", None)
ENVIRONMENT.pop("JOURNAL_STREAM", None)
SANITIZER = re.compile(r"(ERROR|WARNING): \w+Sanitizer|runtime error: ")

MAPPING = """\
node: {node}
source:
  kind: eventlog
  file: {file}
map:
  record_namespace: e2e/{namespace}
  record_id: "{{case}}#{{seq}}"
  case_number: "{{case}}"
  occurred_at: {{column: time, format: rfc3339}}
  kind: {{column: kind}}
  form: [note]
"""
SINK = """\
node: {node}
sink:
  kind: jsonl
  file: {file}
"""


def wait_until(what, condition, timeout=None):
    """The first true value of condition(), within the time."""
    end = time.monotonic() + (timeout or PATIENCE_S)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout or PATIENCE_S:.0f} s: {what}")
        time.sleep(0.02)


class Process:
    """A program that runs; what it says goes to a file that all its runs share."""

    def __init__(self, log, argv, environment=None, before=None, stdin=subprocess.DEVNULL, stdout=None):
        self.log_path = pathlib.Path(log)
        self.argv = [str(word) for word in argv]
        with open(self.log_path, "ab") as out:
            self.from_here = out.tell()
            self.popen = subprocess.Popen(self.argv, stdin=stdin, stdout=stdout or out, stderr=out,
                                          env={**ENVIRONMENT, **(environment or {})}, preexec_fn=before)

    @property
    def pid(self):
        return self.popen.pid

    @property
    def code(self):
        """None while it runs."""
        return self.popen.poll()

    def log(self):
        """What this run has said so far."""
        with open(self.log_path, "rb") as file:
            file.seek(self.from_here)
            return file.read().decode(errors="replace")

    def wait_for(self, text, timeout=None, times=1):
        def found():
            log = self.log()
            if log.count(text) >= times:
                return True
            if self.code is not None:
                raise AssertionError(f"{self.name()} ended with {self.code} before it said '{text}':\n{log}")
            return False
        try:
            wait_until(f"'{text}' from {self.name()}", found, timeout)
        except AssertionError as err:
            raise AssertionError(f"{err}\n{self.log()[-3000:]}") from None
        return self

    def finish(self, timeout=None):
        """Waits until it ends by itself; returns its exit code."""
        try:
            self.popen.wait(timeout or PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name()} has not ended:\n{self.log()[-3000:]}") from None
        return self.code

    def stop(self, timeout=None):
        if self.code is None:
            self.popen.send_signal(signal.SIGTERM)
        return self.finish(timeout)

    def kill9(self):
        """Returns whether it was still running."""
        if self.code is not None:
            return False
        self.popen.kill()
        return self.popen.wait() == -signal.SIGKILL

    @contextlib.contextmanager
    def standing_still(self):
        """None of its files comes, goes or changes meanwhile: what a power cut would leave in the kernel's eyes."""
        if self.code is not None:
            yield
            return
        self.popen.send_signal(signal.SIGSTOP)
        try:
            wait_until(f"{self.name()} stands still", lambda: self.code is not None or set(self.thread_states()) <= set("TtZX"))
            yield
        finally:
            self.popen.send_signal(signal.SIGCONT)

    def thread_states(self):
        """One letter each, as proc(5) has them."""
        for stat in pathlib.Path(f"/proc/{self.pid}/task").glob("*/stat"):
            try:
                yield stat.read_text().rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has ended

    def memory_kib(self, field="RssAnon"):
        with open(f"/proc/{self.pid}/status") as file:
            return int(re.search(rf"{field}:\s+(\d+) kB", file.read())[1])

    def name(self):
        return " ".join([os.path.basename(self.argv[0]), *self.argv[1:3]])


class Drip:
    """A program of the SDK (drip.c) that publishes what it is told, when it is told."""

    def __init__(self, world, office, **more):
        self.process = world.start(world.path / f"{office.name}.drip.log", str(HELPERS / "drip"), office.dir,
                                   stdin=subprocess.PIPE, **more)

    def publish(self, record, case):
        self.process.popen.stdin.write(f"{record} {case}\n".encode())
        self.process.popen.stdin.flush()
        return self

    def end(self):
        """No more comes; waits until all is answered or it gives up."""
        self.process.popen.stdin.close()
        return self.process.finish()


class Done:
    """A program that has run to its end."""

    def __init__(self, completed):
        self.code = completed.returncode
        self.out = completed.stdout.decode(errors="replace")
        self.err = completed.stderr.decode(errors="replace")

    @property
    def said(self):
        return self.out + self.err

    def json(self):
        return json.loads(self.out)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("hub", timeout=PATIENCE_S)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Hub:
    def __init__(self, world, name, endpoint, origin=ORIGIN):
        self.world = world
        self.dir = world.path / name
        self.endpoint = endpoint
        self.origin = origin
        self.log_path = world.path / f"{name}.log"
        self.process = None

    def init(self):
        suite = [] if SUITE == "intl" else ["--suite", SUITE]
        done = self.world.run("casebus-hub", "init", self.dir, "--origin", self.origin, "--listen", self.endpoint, *suite)
        if done.code != 0:
            raise AssertionError(f"casebus-hub init: {done.said}")
        return self

    def set(self, name, value):
        """A setting; before it starts."""
        path = self.dir / "hub.yaml"
        lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{name}:")]
        path.write_text("\n".join(lines + [f"{name}: {value}", ""]))
        return self

    def launch(self, **more):
        """Starts it without waiting."""
        self.process = self.world.start(self.log_path, "casebus-hub", "run", self.dir, **more)
        return self

    def start(self, **more):
        if not self.dir.exists():
            self.init()
        self.launch(**more)
        self.process.wait_for(" HUB-READY ")
        return self

    def stop(self):
        code = self.process.stop()
        if code != 0:
            raise AssertionError(f"the hub ended with {code}:\n{self.process.log()[-3000:]}")
        return self

    def kill9(self):
        self.process.kill9()
        return self

    def restored(self, dest, keys):
        """The hub that is made of its backup, in another directory and at the same place."""
        new = self.world.hub("restored")
        new.endpoint = self.endpoint
        done = self.world.run("casebus-hub", "restore", dest, new.dir, "--keys", keys)
        if done.code != 0:
            raise AssertionError(f"casebus-hub restore: {done.said}")
        return new

    def standing_still(self):
        return self.process.standing_still() if self.process else contextlib.nullcontext()

    def casebus(self, *words):
        return self.world.run("casebus", *words, "--hub", self.dir)

    def ask(self, *words):
        """casebus --json: all its lines."""
        done = self.casebus(*words, "--json")
        if done.code != 0:
            raise AssertionError(f"casebus {' '.join(map(str, words))}: {done.said}")
        lines = [json.loads(line) for line in done.out.splitlines()]
        return lines[0] if len(lines) == 1 else lines

    def barrier(self):
        """Has a hub that runs write what it would write within a second. One that does not run, or cannot, says so."""
        connection = UnixConnection(self.dir / "hub.sock")
        try:
            connection.request("POST", "/v1/barrier")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def settle(self):
        """Waits until ledger and state on disk are what was committed."""
        self.barrier()

        def level():
            status = self.ask("status")
            committed = status.get("committed_size", status["ledger_size"])
            return status["ledger_size"] == status["state_applied"] == committed
        wait_until("ledger and state follow", level)
        return self

    def get(self, target):
        connection = UnixConnection(self.dir / "hub.sock")
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise AssertionError(f"GET {target}: {answer.status} {body[:500]}")
            return json.loads(body)
        finally:
            connection.close()

    def events(self):
        """Every event of the ledger, opened."""
        self.settle()
        found, after = [], ""
        while True:
            page = self.get(f"/v1/events?limit=1000&parts=1{after}")
            found += page["events"]
            if not page["more"]:
                return found
            after = f"&after={page['next']}"

    def nodes(self):
        """name -> what the hub counts for it"""
        self.settle()
        return {node["node"]: node for node in self.ask("node", "list")["nodes"]}

    def dump(self, what="--cases"):
        done = self.casebus("state", "dump", what)
        if done.code != 0:
            raise AssertionError(f"casebus state dump {what}: {done.said}")
        return done.out

    def verify(self):
        """The counts of a ledger that holds."""
        done = self.casebus("ledger", "verify", "--json")
        if done.code != 0 or done.json()["result"] != "OK":
            raise AssertionError(f"the ledger does not verify: {done.said}")
        return done.json()

    def rebuild(self):
        done = self.world.run("casebus-hub", "rebuild", self.dir)
        if done.code != 0:
            raise AssertionError(f"casebus-hub rebuild: {done.said}")
        return self


class Office:
    """A department: a node's directory, the adapter that uses it, and what it publishes or receives."""

    def __init__(self, world, hub, name):
        self.world = world
        self.hub = hub
        self.name = name
        self.dir = world.path / name
        self.config = world.path / f"{name}.yaml"
        self.rows_path = world.path / f"{name}.csv"
        self.received_path = world.path / f"{name}.jsonl"
        self.log_path = world.path / f"{name}.log"
        self.settings = []
        self.process = None

    def enrol(self, publish=False, receive=False):
        words = ["node", "add", self.name, "--out", self.dir, "--department", self.name, "--area", "320100"]
        words += ["--publish"] if publish else []
        words += ["--receive-all", "--parts", "identity,contact,form,opinion"] if receive else []
        done = self.hub.casebus(*words)
        if done.code != 0:
            raise AssertionError(f"casebus node add {self.name}: {done.said}")
        return self.configure(receive)

    def configure(self, receive=False):
        text = (SINK.format(node=self.dir, file=self.received_path) if receive else
                MAPPING.format(node=self.dir, file=self.rows_path, namespace=self.name))
        self.config.write_text(text)
        return self

    def write_rows(self, rows):
        """rows: (case, seq, kind) or (case, seq, kind, note)"""
        with open(self.rows_path, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["case", "seq", "time", "kind", "note"])
            for case, seq, kind, *note in rows:
                minute, hour = seq % 60, seq // 60 % 24
                writer.writerow([case, seq, f"2026-03-02T{hour:02}:{minute:02}:00+08:00", kind, *(note or [f"note {seq}"])])
        return self

    def launch(self, *options, **more):
        """Starts the adapter without waiting."""
        words = ["run", self.config, *self.settings, *options]
        self.process = self.world.start(self.log_path, "casebus-adapter", *words, **more)
        return self

    def finish(self, timeout=None):
        """Waits for the end; the numbers of its RESULT line, with `code` and `word`."""
        code = self.process.finish(timeout)
        return self.result(code)

    def result(self, code=None):
        lines = [line for line in self.process.log().splitlines() if line.startswith("RESULT ")]
        numbers = {"code": code, "word": None}
        if lines:
            numbers["word"] = lines[-1].split()[1]
            numbers.update((k, float(v) if "." in v else int(v)) for k, v in re.findall(r"(\w+)=([\d.]+)", lines[-1]))
        return numbers

    def publish(self, *options, expect=0, **more):
        """One run to the end."""
        result = self.launch("--once", *options, **more).finish()
        if result["code"] != expect:
            raise AssertionError(f"{self.name} ended with {result['code']}:\n{self.process.log()[-3000:]}")
        return result

    def received(self):
        """The lines that are whole."""
        if not self.received_path.exists():
            return []
        with open(self.received_path, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def received_count(self):
        if not self.received_path.exists():
            return 0
        with open(self.received_path, "rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))

    def wait_received(self, n, timeout=None):
        try:
            wait_until(f"{self.name} received {n}", lambda: self.received_count() >= n, timeout)
        except AssertionError as err:
            raise AssertionError(f"{err}; it has {self.received_count()}\n{self.process.log()[-3000:]}") from None
        return self


class World:
    """@owner: a test, or a class of tests that share the world."""

    def __init__(self, owner):
        of_class = isinstance(owner, type)
        self.random = random.Random(f"{SEED}/{owner.__name__ if of_class else owner.id().split('.')[-1]}")
        # The hub's socket needs a short path, and real disk: /tmp is memory on some machines.
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="casebus-", dir=os.environ.get("TMPDIR", "/var/tmp")))
        self.processes = []
        self.at_end = []
        atexit.register(self._remove)
        (owner.addClassCleanup if of_class else owner.addCleanup)(self.close)

    def _remove(self):
        shutil.rmtree(self.path, ignore_errors=True)

    # ---- programs ----

    def start(self, log, program, *words, **more):
        process = Process(log, [BIN / program if not os.path.isabs(program) else program, *words], **more)
        self.processes.append(process)
        return process

    def run(self, program, *words, timeout=None, environment=None, before=None, may_crash=False):
        argv = [str(BIN / program if not os.path.isabs(program) else program), *map(str, words)]
        done = Done(subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout or PATIENCE_S,
                                   env={**ENVIRONMENT, **(environment or {})}, preexec_fn=before))
        if SANITIZER.search(done.err) and not may_crash:
            raise AssertionError(f"{' '.join(argv)}:\n{done.err[-6000:]}")
        return done

    # ---- parts ----

    def free_port(self):
        """Below the ports that the kernel gives to clients."""
        for _ in range(200):
            port = random.SystemRandom().randrange(20000, 32000)
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    pass
        raise AssertionError("no free port")

    def hub(self, name="hub"):
        return Hub(self, name, f"tcp://127.0.0.1:{self.free_port()}")

    def office(self, hub, name, publish=False, receive=False):
        return Office(self, hub, name).enrol(publish, receive)

    # ---- the end ----

    def close(self):
        """Ends all, newest first, in the ordinary way; looks at what sanitizers said."""
        try:
            for end in reversed(self.at_end):
                end()
            for process in reversed(self.processes):
                if process.code is None:
                    process.popen.send_signal(signal.SIGTERM)
            for process in reversed(self.processes):
                try:
                    process.popen.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill9()
                    raise AssertionError(f"{process.name()} did not end on SIGTERM:\n{process.log()[-2000:]}")
            for path in sorted(self.path.glob("*.log")):
                text = path.read_text(errors="replace")
                found = SANITIZER.search(text)
                if found:
                    raise AssertionError(f"{path.name}:\n{text[found.start():][:6000]}")
        finally:
            for process in self.processes:
                process.kill9()
            if os.environ.get("CASEBUS_KEEP"):
                print(f"kept: {self.path}", flush=True)
                atexit.unregister(self._remove)
            else:
                self._remove()


class Proxy:
    """A line between nodes and the hub that can swallow what the hub says.

    ZMTP 3 tells where its frames begin: a greeting of 64 bytes, then flags, a length of 1 or 8 bytes, a body. What is in
    them is CURVE's secret; that there are so many is not.
    """

    COMMAND, LONG = 4, 2

    def __init__(self, world, hub):
        self.hub_port = int(hub.endpoint.rsplit(":", 1)[1])
        self.messages = None  # that may pass from the hub on each connection; None: all
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        world.at_end.append(self.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                node, _ = self.listener.accept()
                hub = socket.create_connection(("127.0.0.1", self.hub_port))
            except OSError:
                return
            self.sockets += [node, hub]
            for carry in (self._to_hub, self._to_node):
                threading.Thread(target=self._run, args=(carry, node, hub), daemon=True).start()

    def _run(self, carry, node, hub):
        try:
            carry(node, hub)
        except (OSError, EOFError):
            self._end(node, hub)

    def _to_hub(self, node, hub):
        while True:
            data = node.recv(65536)
            if not data:
                raise EOFError
            hub.sendall(data)

    def _to_node(self, node, hub):
        messages = 0
        for _ in range(64):  # each side waits for the other's first bytes
            node.sendall(self._take(hub, 1))
        while True:
            flags = self._take(hub, 1)
            size = self._take(hub, 8 if flags[0] & self.LONG else 1)
            body = self._take(hub, int.from_bytes(size, "big"))
            messages += not flags[0] & self.COMMAND
            if self.messages is None or messages <= self.messages:
                node.sendall(flags + size + body)

    def _take(self, source, n):
        data = b""
        while len(data) < n:
            block = source.recv(n - len(data))
            if not block:
                raise EOFError
            data += block
        return data

    def cut(self):
        """Ends every connection that there is."""
        ends, self.sockets = self.sockets, []
        self._end(*ends)

    def _end(self, *sockets):
        for end in sockets:
            try:
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
            except OSError:
                pass
            end.close()

    def close(self):
        self._end(self.listener)
        self.cut()


def copy(source, target):
    """A faithful copy of a directory, as an operator's backup makes it."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def main():
    print(f"CASEBUS_SEED={SEED}", flush=True)
    unittest.main(module="__main__", argv=[sys.argv[0], *(sys.argv[1:] or ["-v"])], warnings="ignore")
