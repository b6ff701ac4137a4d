"""A hub under siege: eight honest adapters that go on publishing, one that receives, and what an attacker needs."""
import json
import os
import pathlib
import resource
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402
import zmtp  # noqa: E402
from harness import wait_until  # noqa: E402,F401

HONEST = 8
EVERY_S = 0.05            # one event of each honest adapter
SILENCE_S = 4             # hub.yaml; half of it later, a connection without a session is closed
MEMORY_KIB = 160 * 1024   # of the hub, whatever comes
SANITIZED = bool(os.environ.get("CASEBUS_SANITIZE"))
ELSEWHERE = "127.0.0.2"   # attackers come from another address than the honest

DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # an attacker needs as many as there are
resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))


class Honest:
    """The eight, the receiver, and a thread that keeps them going and looks at the hub's memory."""

    def __init__(self, world, hub):
        self.hub = hub
        self.offices = [world.office(hub, f"honest-{n}", publish=True) for n in range(HONEST)]
        self.receiver = world.office(hub, "receiver", receive=True).launch()
        self.drips = [harness.Drip(world, office) for office in self.offices]
        self.sent = 0  # by each
        self.most_kib = 0
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._run, daemon=True)
        world.at_end.append(self.stop)
        self.thread.start()

    def _run(self):
        while not self.stopped.wait(EVERY_S):
            self.publish()
            self.most_kib = max(self.most_kib, self.hub.process.memory_kib())

    def publish(self):
        with self.lock:
            self.sent += 1
            for office, drip in zip(self.offices, self.drips):
                drip.publish(f"{office.name}-{self.sent}", f"case-{office.name}-{self.sent // 100}")
            return self.sent

    def served(self):
        """What all of them have published by now is accepted and delivered."""
        n = self.publish()
        for drip in self.drips:
            wait_until(f"{drip.process.name()} has {n} accepted", lambda d=drip: d.process.log().count("accepted ") >= n)
        self.receiver.wait_received(n * HONEST)

    def stop(self):
        self.stopped.set()
        self.thread.join()

    def end(self):
        """No more comes; returns how many there were."""
        self.stop()
        for drip in self.drips:
            if drip.end() != 0:
                raise AssertionError(drip.process.log()[-3000:])
            for word in ("refused ", "duplicate "):
                if word in drip.process.log():
                    raise AssertionError(drip.process.log()[-3000:])
        self.receiver.wait_received(self.sent * HONEST)
        return self.sent * HONEST


class Raider:
    """A node whose keys are in the wrong hands."""

    def __init__(self, world, office):
        enrolment = json.loads((office.dir / "enrolment.json").read_text())
        self.name = office.name
        self.dir = office.dir
        self.endpoint = enrolment["endpoint"]
        self.server_key = enrolment["hub_curve_key"]
        self.secret = zmtp.z85_decode((office.dir / "node.curve").read_text().strip())
        self.forger = world.start(world.path / f"{office.name}.forger.err", str(harness.HELPERS / "forger"), office.dir,
                                  stdin=-1, stdout=-1)

    def forge(self, kind, **words):
        """The frame, and for a batch the hash of its statement."""
        pipe = self.forger.popen
        pipe.stdin.write((f"kind={kind} " + " ".join(f"{k}={v}" for k, v in words.items()) + "\n").encode())
        pipe.stdin.flush()
        frame, _, statement = pipe.stdout.readline().decode().strip().partition(" ")
        return (bytes.fromhex(frame), statement) if kind == "publish" else bytes.fromhex(frame)

    def line(self, **more):
        """A connection with this node's transport key."""
        return zmtp.Curve(self.endpoint, self.server_key, self.secret, **{"address": ELSEWHERE, **more})

    def session(self, **more):
        line = self.line(**more)
        for _ in range(200):
            line.say(self.forge("hello"))
            said = zmtp.Said(line.hear())
            if said.kind == "Welcome":
                return line
            if said.code != "CB-BUSY":
                raise AssertionError(f"Hello was answered with {said}")
            time.sleep(0.05)
        raise AssertionError("the hub is busy")


class Siege(unittest.TestCase):
    """One hub for all tests of a class; after each of them the honest are served as before."""

    @classmethod
    def setUpClass(cls):
        cls.world = harness.World(cls)
        cls.hub = cls.world.hub().init().set("silence_seconds", SILENCE_S).start()
        cls.honest = Honest(cls.world, cls.hub)

    @classmethod
    def raider(cls, name="raider", **more):
        return Raider(cls.world, cls.world.office(cls.hub, name, **(more or {"publish": True})))

    @classmethod
    def tearDownClass(cls):
        events = cls.honest.end()
        counts = cls.hub.verify()
        print(f"{events} honest events, all accepted and delivered; the hub took at most {cls.honest.most_kib} KiB; "
              f"the ledger holds: {counts['events']} events", flush=True)
        cls.hub.stop()

    def tearDown(self):
        self.assertIsNone(self.hub.process.code, self.hub.process.log()[-3000:])
        self.honest.served()
        if not SANITIZED:
            self.assertLess(self.honest.most_kib, MEMORY_KIB)

    @classmethod
    def says(cls, text):
        cls.hub.process.wait_for(text)

    @classmethod
    def ends(cls, *lines):
        """The hub ends all of these connections."""
        left = list(lines)

        def over():
            left[:] = [line for line in left if not line.closed()]
            return not left
        try:
            wait_until(f"all of {len(lines)} connections are ended", over)
        finally:
            for line in lines:
                line.close()

    def cut(self, action):
        """Ends in Closed."""
        with self.assertRaises((zmtp.Closed, ConnectionError)):
            action()

    def answer(self, line, frame, expect):
        line.say(frame)
        said = zmtp.Said(line.hear())
        self.assertEqual(repr(said), expect)
        return said
