"""P9: what a hostile peer does costs the others nothing. Each trap of the design (README.md here) is laid to a hub that runs,
by strangers and by a node whose keys are stolen, while eight honest adapters go on; after each one they are served as before."""
import os
import random
import resource
import socket
import struct
import time

import siege
import zmtp
from siege import ELSEWHERE, SILENCE_S, Siege, harness, wait_until

MUTATIONS = int(os.environ.get("CASEBUS_MUTATIONS", "0"))     # 0: as many as fit into MUTATE_S
MUTATE_S = float(os.environ.get("CASEBUS_MUTATE_S", "6"))
RANDOM_FRAMES = int(os.environ.get("CASEBUS_RANDOM_FRAMES", "10000"))


class Strangers(Siege):
    """Who has no key of this hub."""

    @classmethod
    def tearDownClass(cls):
        cls.ends(*cls.ending)
        cls.says(" CONNECTIONS-CUT ")
        super().tearDownClass()

    def raw(self, data=b"", address=ELSEWHERE):
        return zmtp.Line(self.hub.endpoint, address).send(data)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.known = cls.raider("known")
        cls.ending = []  # connections that the hub has to end before the last test is over

    def test_a_key_that_nobody_enrolled_is_refused(self):
        stranger = zmtp.Curve(self.known.endpoint, self.known.server_key, handshake=False)
        with stranger:
            with self.assertRaises(zmtp.Closed) as told:
                stranger.shake()
            self.assertEqual(told.exception.args[0], b"\x05ERROR\x03400")
        self.says(" NODE-UNKNOWN ")

    def test_nobody_gets_in_without_curve_or_with_an_older_protocol(self):
        ready = zmtp.frame(b"\x05READY" + zmtp.metadata(), zmtp.COMMAND)
        plain = zmtp.frame(b"\x05HELLO\x05admin\x05admin", zmtp.COMMAND)
        lines = [self.raw(zmtp.greeting(b"NULL") + ready + zmtp.frame(zmtp.ping())),
                 self.raw(zmtp.greeting(b"PLAIN") + plain),
                 self.raw(zmtp.greeting(b"CURVE\0NULL") + ready),
                 self.raw(zmtp.greeting(version=(9, 9)) + ready),
                 self.raw(b"\x01\x00" + zmtp.frame(zmtp.ping())),                                  # ZMTP 1.0
                 self.raw(b"\xff" + bytes(8) + b"\x7f\x01\x05" + bytes(2) + zmtp.frame(zmtp.ping())),  # ZMTP 2.0
                 self.raw(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n" * 10),
                 self.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500))]    # TLS
        self.ending += lines

    def test_who_stalls_or_drips_is_cut_off_wherever_it_stops(self):
        """In the greeting, in the handshake, before Hello, in the middle of a frame of a session."""
        stalled = [self.raw(start) for start in (b"", b"\xff", zmtp.greeting()[:40], zmtp.greeting()) for _ in range(10)]
        for stop in ("hello", "welcome", "half initiate"):
            line = zmtp.Curve(self.known.endpoint, self.known.server_key, handshake=False, address=ELSEWHERE)
            line.send(zmtp.greeting()).take(64)
            line.hello()
            if stop != "hello":
                line.welcome()
            if stop == "half initiate":
                line.send(zmtp.frame(line.initiate_body(), zmtp.COMMAND)[:100])
            stalled.append(line)
        silent = self.known.line()                     # is let in, and never says Hello
        session = self.known.session()                 # says Hello, and drips from then on
        endless = zmtp.frame(os.urandom(300_000))
        drips = [(self.raw(), zmtp.greeting()), (self.raw(zmtp.greeting()), zmtp.frame(bytes(200), zmtp.COMMAND)),
                 (silent, endless), (session, endless)]
        end = time.monotonic() + harness.PATIENCE_S
        at = 0
        while drips or stalled:
            for line, data in drips:
                try:
                    line.send(data[at:at + 1])
                except (zmtp.Closed, ConnectionError):
                    pass
            at += 1
            drips = [(line, data) for line, data in drips if not line.closed()]
            stalled = [line for line in stalled if not line.closed()]
            self.assertLess(time.monotonic(), end, f"{len(drips)} drip and {len(stalled)} stall for ever")
            time.sleep(0.05)

    def test_a_length_that_no_message_may_have_ends_the_handshake(self):
        lines = []
        for size in (1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 320 * 1024 + 1):
            lines.append(self.raw(zmtp.greeting() + struct.pack(">BQ", zmtp.COMMAND | zmtp.LONG, size) + bytes(100)))
        for n in (0, 1, 5, 199, 201, 255, 100_000, 327_000):  # one that it may have, of a HELLO that is none
            lines.append(self.raw(zmtp.greeting() + zmtp.frame(b"\x05HELLO\x01\x00" + bytes(n), zmtp.COMMAND)))
        for command in (b"\x05READY", b"\x04PING\0\0", b"\x07MESSAGE" + bytes(40), b"\x09SUBSCRIBE", b"\xff" * 50, b"", b"\0"):
            lines.append(self.raw(zmtp.greeting() + zmtp.frame(command, zmtp.COMMAND) + zmtp.frame(command)))
        self.ending += lines

    def test_handshakes_with_changed_bytes_let_nobody_in(self):
        rng = self.world.random
        for _ in range(150):
            line = zmtp.Curve(self.known.endpoint, self.known.server_key, self.known.secret, handshake=False, address="127.0.0.3")
            start = bytearray(zmtp.greeting() + zmtp.frame(line.hello_body(), zmtp.COMMAND))
            for _ in range(rng.randrange(1, 4)):
                start[rng.randrange(10, len(start))] ^= 1 << rng.randrange(8)
            line.send(bytes(start[:rng.randrange(20, len(start) + 1)]))
            self.ending.append(line)

    def test_cookies_and_vouches_of_others_are_worth_nothing(self):
        def begun():
            line = zmtp.Curve(self.known.endpoint, self.known.server_key, self.known.secret, handshake=False, address=ELSEWHERE)
            line.send(zmtp.greeting()).take(64)
            return line.hello().welcome()
        one, other = begun(), begun()
        one.cookie = other.cookie
        one.initiate()
        other.public = zmtp.key_pair()[0]  # vouched for by another secret
        other.initiate()
        twice = begun()
        body = zmtp.frame(twice.initiate_body(), zmtp.COMMAND)
        twice.send(body).ready()
        twice.send(body)  # again, in an open connection
        self.ending += [one, other, twice]

    def test_a_crowd_displaces_itself_only(self):
        """Four hundred from one address: more than one may have without a session. Others come in meanwhile."""
        crowd = [self.raw(zmtp.greeting(), "127.0.0.4") for _ in range(400)]
        with self.known.session(address="127.0.0.5") as line:
            self.answer(line, zmtp.ping(), "Pong")
            wait_until("most of the crowd is gone", lambda: sum(line.closed() for line in crowd) >= 270)
            self.answer(line, zmtp.ping(), "Pong")
        self.ending += crowd


class Raiders(Siege):
    """Who has the keys of a node."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.thief = cls.raider("thief", publish=True, receive=True)

    def test_a_message_that_never_ends_is_cut_off_and_its_node_has_to_wait(self):
        endless = self.raider("endless")
        with endless.session() as line:
            part = os.urandom(64 * 1024)

            def feed():
                for _ in range(100_000):
                    line.say(part, more=True)
            before = self.honest.most_kib
            self.cut(feed)
            self.assertLess(line.nonce * len(part), 2 << 30)
        print(f"cut after {line.nonce * len(part) >> 20} MiB; the hub had {before} KiB before, {self.honest.most_kib} at most",
              flush=True)
        self.says(" CONNECTIONS-CUT ")
        with self.assertRaises((zmtp.Closed, ConnectionError, TimeoutError)):
            endless.line(patience=1)

    def test_small_parts_without_end_are_cut_off_too(self):
        with self.raider("crumbs").session() as line:
            def feed():
                for _ in range(1_000_000):
                    line.send(b"".join(line.sealed(b"", more=True) for _ in range(100)))
            self.cut(feed)

    def test_who_asks_on_and_reads_no_answer_is_cut_off(self):
        with self.thief.session() as line:
            asked = zmtp.ping()

            def ask():
                for _ in range(10_000):
                    line.send(b"".join(line.sealed(asked) for _ in range(100)))
            self.cut(ask)

    def test_messages_of_many_parts_are_not_heard(self):
        with self.thief.session() as line:
            for _ in range(50):
                for _ in range(100):
                    line.say(zmtp.bye(), more=True)
                line.say(zmtp.bye())
            self.answer(line, zmtp.ping(), "Pong")

    def test_frames_that_are_too_large_are_refused_and_larger_ones_end_the_connection(self):
        with self.thief.session() as line:
            self.answer(line, zmtp.field(3, bytes(256 * 1024)), "Bye CB-TOO-LARGE")
        with self.thief.session() as line:
            self.answer(line, zmtp.field(9, bytes(17 * 1024)), "Bye CB-TOO-LARGE")
        lines = [self.thief.session() for _ in range(3)]
        for line, size in zip(lines, (320 * 1024 + 1, 1 << 40, (1 << 63) + 5)):
            line.send(struct.pack(">BQ", zmtp.LONG, size) + b"\x07MESSAGE" + bytes(1000))
        self.ends(*lines)

    def test_boxes_that_do_not_open_and_old_ones_end_the_connection(self):
        lines = [self.thief.session() for _ in range(4)]
        sealed = bytearray(lines[0].sealed(zmtp.ping()))
        sealed[-1] ^= 1
        lines[0].send(bytes(sealed))                                                            # changed
        again = lines[1].sealed(zmtp.ping())
        lines[1].send(again + again)                                                            # said twice
        lines[2].send(lines[3].sealed(zmtp.ping()))                                             # of another connection
        lines[3].send(zmtp.frame(b"\x07MESSAGE", zmtp.COMMAND) + zmtp.frame(b"\x05READY", zmtp.COMMAND))  # a command
        self.ends(*lines)

    def test_credit_that_never_comes_stops_deliveries_to_that_one_only(self):
        with self.thief.session() as line:
            line.say(self.thief.forge("subscribe"))
            self.assertEqual(zmtp.Said(line.hear()).kind, "Deliver")
            line.say(self.thief.forge("credit", position=1 << 62))    # of what was never sent
            line.say(self.thief.forge("credit", position=0))
            self.honest.served()                                      # while it reads nothing more

    def test_sequence_games_are_lost(self):
        publish = self.thief.forge
        with self.thief.session() as line:
            first, statement = publish("publish", record="a", count=3)
            self.answer(line, first, "Accepted")
            self.assertEqual(self.answer(line, first, "Accepted").fields[9], [1])  # its receipt again
            next_one = {"first": 4, "previous": statement}
            self.answer(line, publish("publish", record="b", count=3)[0], "Refused CB-SEQ-CONFLICT")
            self.answer(line, publish("publish", record="c", first=2, previous=statement)[0], "Refused CB-SEQ-CONFLICT")
            self.answer(line, publish("publish", record="d", first=9, previous=statement)[0], "Refused CB-SEQ-GAP")
            self.answer(line, publish("publish", record="e", first=4)[0], "Refused CB-SEQ-CONFLICT")  # after another batch
            self.answer(line, publish("publish", record="f", first=0)[0], "Refused CB-MISSING-FIELD")
            self.answer(line, publish("publish", record="g", first=(1 << 64) - 1, count=2)[0], "Refused CB-BAD-FIELD")
            self.answer(line, publish("publish", record="h", first=1 << 62)[0], "Refused CB-SEQ-GAP")
            self.answer(line, publish("publish", record="i", **next_one)[0], "Accepted")

    def test_nobody_speaks_in_the_name_of_another(self):
        forge, other = self.thief.forge, "honest-0"
        with self.thief.session() as line:
            for words, code in (({"node": other}, "CB-NOT-ALLOWED"), ({"lie": "key"}, "CB-KEY"),
                                ({"lie": "signature"}, "CB-SIGNATURE"), ({"lie": "event"}, "CB-SIGNATURE"),
                                ({"lie": "count"}, "CB-MALFORMED"), ({"origin": "other.example/exchange/1"}, "CB-HUB-IDENTITY")):
                self.answer(line, forge("publish", record="x", stream=5, **words)[0], f"Refused {code}")
            # The record of somebody else, signed by me.
            self.honest.served()
            said = self.answer(line, forge("publish", record=other, namespace="e2e/drip", stream=6)[0], "Accepted")
            self.assertIn(b"CB-RECORD-OWNER", said.fields[8][0])
        with self.thief.line() as line:
            self.answer(line, forge("hello", node=other), "Bye CB-UNKNOWN-NODE")

    def test_confirmations_that_are_lies_prove_nothing(self):
        with self.thief.session() as line:
            line.say(self.thief.forge("subscribe"))
            for words in ({"position": 1 << 40}, {"lie": "signature"}, {"node": "receiver"}):
                line.say(self.thief.forge("confirm", **words))
            self.assertEqual(zmtp.Said(line.hear()).kind, "Deliver")

    def test_a_captured_batch_is_worth_nothing_elsewhere(self):
        captured = self.thief.forge("publish", record="captured", stream=11)[0]
        with self.thief.session() as line:
            first = self.answer(line, captured, "Accepted")
        with self.thief.session() as line:  # later, in another connection: the receipt again, and nothing new
            again = self.answer(line, captured, "Accepted")
            self.assertEqual(again.fields[4], first.fields[4])
            self.assertEqual(again.fields[9], [1])
        accomplice = self.raider("accomplice")
        with accomplice.session() as line:
            self.answer(line, captured, "Refused CB-NOT-ALLOWED")
        other = harness.Hub(self.world, "other", f"tcp://127.0.0.1:{self.world.free_port()}", "other.example/exchange/1").start()
        there = harness.Office(self.world, other, "thief")
        there.dir = self.world.path / "thief-there"
        there.enrol(publish=True)
        with siege.Raider(self.world, there).session() as line:
            self.answer(line, captured, "Refused CB-HUB-IDENTITY")
        self.assertEqual(other.verify()["events"], 0)
        other.stop()

    def test_a_session_cannot_be_taken_over(self):
        """Neither by a name that the connection gives itself, nor by one as libzmq gives it, nor by saying whose it is."""
        named = self.thief.line(handshake=False)
        named.shake(Identity=b"honest-0")
        named.say(self.thief.forge("hello"))
        self.ends(named)
        for identity in (bytes(5), b"\0\0\0\0\1", b"\0" + os.urandom(4)):
            line = self.thief.line(handshake=False)
            line.shake(**{"Identity": identity, "User-Id": b"honest-0", "__fd": b"0", "Peer-Address": b"127.0.0.1"})
            with line:
                self.answer(line, self.thief.forge("hello", node="honest-0"), "Bye CB-UNKNOWN-NODE")
        with self.thief.session() as one:   # eight sessions are what a node has: the ninth takes the oldest one's place
            others = [self.thief.session() for _ in range(8)]
            self.assertEqual(repr(zmtp.Said(one.hear())), "Bye CB-BUSY")
            for line in others:
                line.close()

    def test_who_connects_again_and_again_has_to_wait(self):
        restless = self.raider("restless")
        let_in = 0
        for _ in range(200):
            try:
                with restless.line(patience=2, address="127.0.0.6"):
                    let_in += 1
            except (zmtp.Closed, ConnectionError, TimeoutError):
                break
        self.assertGreaterEqual(let_in, 60)
        self.assertLess(let_in, 200)
        self.says(" NODE-RESTLESS ")


class Rubbish(Siege):
    """Frames that are none, and ones that were."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.fool = cls.raider("fool", publish=True, receive=True)

    def frames(self):
        forge = self.fool.forge
        seeds = harness.REPO / "tests" / "fuzz" / "seeds" / "frame"
        own = [forge("hello"), forge("subscribe"), forge("credit"), forge("confirm"),
               *(forge("publish", record=f"m{n}", stream=20 + n, count=n)[0] for n in (1, 2, 5)), zmtp.ping()]
        return own + [path.read_bytes() for path in sorted(seeds.iterdir())]

    def changed(self, rng, frames):
        data = bytearray(rng.choice(frames))
        for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
            at = rng.randrange(len(data)) if data else 0
            action = rng.randrange(6)
            if action == 0 and data:
                data[at] ^= 1 << rng.randrange(8)
            elif action == 1 and data:
                data[at] = rng.choice((0, 1, 0x7f, 0x80, 0xff))
            elif action == 2:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 12)))
            elif action == 3 and data:
                del data[at:at + rng.randrange(1, 30)]
            elif action == 4 and data:
                data[at:at] = data[at:at + rng.randrange(1, 60)]
            else:
                other = rng.choice(frames)
                data[at:] = other[rng.randrange(len(other)):]
        return bytes(data)

    def throw(self, line, frame, token):
        """Says it, a Ping and Hello, and leaves with a session. Without one, the Ping is answered with CB-CLOSED; with one,
        Hello is one too many."""
        line.send(b"".join(map(line.sealed, (frame, zmtp.ping(token), self.hello))))
        ended = alive = False
        while True:
            said = zmtp.Said(line.hear())
            if said.kind == "Welcome":
                if ended or alive:
                    return
            elif said.kind == "Pong":
                alive = alive or said.fields.get(1) == [token]
            elif said.kind == "Bye" and said.code == "CB-CLOSED":
                ended = True
            elif said.kind == "Bye":
                self.byes[said.code] = self.byes.get(said.code, 0) + (not alive)
                if said.code == "CB-BUSY":
                    time.sleep(0.05)
                if alive or said.code == "CB-BUSY":
                    line.say(self.hello)

    def rain(self, make, enough):
        rng = random.Random(self.world.random.random())
        self.hello = self.fool.forge("hello")
        self.byes = {}
        n = 0
        with self.fool.session() as line:
            while not enough(n):
                n += 1
                self.throw(line, make(rng), rng.getrandbits(64))
        return n

    def test_random_frames_end_sessions_and_nothing_else(self):
        n = self.rain(lambda rng: rng.randbytes(rng.choice((0, 1, 3, 10, 100, 1000))), lambda n: n >= RANDOM_FRAMES)
        print(f"{n} random frames: {self.byes}", flush=True)

    def test_changed_frames_end_sessions_and_nothing_else(self):
        frames = self.frames()
        end = time.monotonic() + MUTATE_S
        n = self.rain(lambda rng: self.changed(rng, frames),
                      lambda n: n >= MUTATIONS if MUTATIONS else time.monotonic() > end)
        print(f"{n} changed frames: {self.byes}", flush=True)


class Scarcity(Siege):
    """A hub that has few descriptors: 256."""

    @classmethod
    def setUpClass(cls):
        cls.world = harness.World(cls)
        cls.hub = cls.world.hub().init().set("silence_seconds", SILENCE_S)
        cls.hub.start(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
        cls.honest = siege.Honest(cls.world, cls.hub)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.hub.process.pid}/fd"))

    def knock(self, n):
        """Without waiting for an answer."""
        knocking = socket.socket()
        knocking.setblocking(False)
        knocking.bind((f"127.0.1.{n % 4 + 1}", 0))
        knocking.connect_ex(("127.0.0.1", int(self.hub.endpoint.rsplit(":", 1)[1])))
        self.addCleanup(knocking.close)

    def test_a_flood_of_connections_takes_the_descriptors_from_nobody(self):
        self.honest.served()  # so that each of them is in already
        late, before, most = self.raider("late"), self.descriptors(), 0
        for n in range(min(3000, siege.DESCRIPTORS - 200)):
            self.knock(n)
            if n % 100 == 0:
                most = max(most, self.descriptors())
        self.honest.served()  # who is in goes on
        with late.session() as line:  # and others come in
            self.answer(line, late.forge("publish", record="late")[0], "Accepted")
        wait_until("the descriptors are free again", lambda: self.descriptors() <= before + 2)
        print(f"descriptors of 256: {before} before, {most} in the flood, {self.descriptors()} afterwards", flush=True)
        self.assertNotIn("Too many open files", self.hub.process.log())


class Door(siege.unittest.TestCase):
    def test_a_hub_that_would_admit_anybody_does_not_run(self):
        """Without the one who answers whether a key is known, libzmq lets all in: the hub tries itself first."""
        world = harness.World(self)
        options = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        hub = world.hub().init()
        hub.launch(environment={"LD_PRELOAD": str(harness.HELPERS / "zap_shim.so"), "ASAN_OPTIONS": options})
        self.assertEqual(hub.process.finish(), 1, hub.process.log())
        self.assertIn("a peer with a random key was let in: this hub would admit anybody", hub.process.log())
        self.assertNotIn("HUB-READY", hub.process.log())
        hub.start()


if __name__ == "__main__":
    harness.main()
