#!/usr/bin/env python3
"""What eight honest adapters keep of their rate while the hub is attacked (tests/hostile). Never a test.

    tests/bench/hostile.py [--rate 5000] [--seconds 8] [--attacks crowd,stranger,endless,rubbish,deaf] [--build build]

The eight publish at a fixed rate (--rate 0: as fast as their windows allow), undisturbed and under each attack in turn. The attackers
run beside them on the same machine, as fast as they can, and so take processor time from everybody; with --nice 19 little of it.
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import random
import statistics
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "hostile"))


def crowd(raider, n):
    """Connects, greets, and goes."""
    import zmtp
    while True:
        try:
            zmtp.Line(raider.endpoint, f"127.0.{n + 2}.{random.randrange(1, 250)}", 1).send(zmtp.greeting()).close()
        except (OSError, zmtp.Closed):
            pass


def stranger(raider, n):
    """Whole handshakes with unknown keys."""
    import zmtp
    while True:
        try:
            zmtp.Curve(raider.endpoint, raider.server_key, address=f"127.0.{n + 2}.1", patience=1).close()
        except (OSError, zmtp.Closed):
            pass


def endless(raider, n):
    """Messages without end."""
    import zmtp
    part = os.urandom(64 * 1024)
    while True:
        try:
            with raider.line(patience=1) as line:
                line.say(raider.hello)
                while True:
                    line.say(part, more=True)
        except (OSError, zmtp.Closed):
            time.sleep(0.2)


def rubbish(raider, n):
    """Frames that are none, each after a Hello."""
    import zmtp
    while True:
        try:
            with raider.line(patience=1) as line:
                while not line.closed():
                    line.send(b"".join(line.sealed(raider.hello) + line.sealed(random.randbytes(200)) for _ in range(20)))
        except (OSError, zmtp.Closed):
            time.sleep(0.2)


def deaf(raider, n):
    """Pings as fast as they go, and never reads an answer."""
    import zmtp
    while True:
        try:
            with raider.line(patience=1) as line:
                line.say(raider.hello)
                while True:
                    line.send(b"".join(line.sealed(zmtp.ping()) for _ in range(50)))
        except (OSError, zmtp.Closed):
            time.sleep(0.2)


ATTACKS = {"crowd": crowd, "stranger": stranger, "endless": endless, "rubbish": rubbish, "deaf": deaf}


def attack(name, raider, n, nice):
    os.nice(nice)
    ATTACKS[name](raider, n)


class Bench(unittest.TestCase):
    options = None

    def measure(self):
        count = str(int((self.options.rate or 20000) * self.options.seconds))
        words = ["--mode", "hostile", "--target", self.world.path, "--server", str(self.hub.process.pid), "--events", count,
                 "--no-consume"] + (["--rate", str(self.options.rate)] if self.options.rate else [])
        done = self.world.run(str(self.harness.BUILD / "bench" / "bench_casebus"), *words, timeout=600)
        self.assertEqual(done.code, 0, done.said)
        return json.loads(done.out)

    def attacked(self, name, raiders):
        attackers = [multiprocessing.Process(target=attack, args=(name, raider, n, self.options.nice), daemon=True)
                     for n, raider in enumerate(raiders)]
        for attacker in attackers:
            attacker.start()
        time.sleep(0.5)
        try:
            return self.measure()
        finally:
            for attacker in attackers:
                attacker.kill()
                attacker.join()

    def test(self):
        import siege
        harness = self.harness = siege.harness
        self.world = harness.World(self)
        self.hub = self.world.hub().start()
        for n in range(8):
            self.world.office(self.hub, f"p{n}", publish=True)
        raiders = [siege.Raider(self.world, self.world.office(self.hub, f"raider-{n}", publish=True)) for n in range(2)]
        for raider in raiders:
            raider.hello = raider.forge("hello")
        figures = {}
        for name in ["undisturbed", *self.options.attacks.split(","), "undisturbed"]:
            line = self.measure() if name == "undisturbed" else self.attacked(name, raiders)
            figures.setdefault(name, []).append(line)
            print(name, json.dumps(line), flush=True)
        print(f"the hub took at most {self.hub.process.memory_kib('VmHWM')} KiB (VmHWM)")
        calm = statistics.median(line["published_s"] for line in figures["undisturbed"])
        print("\n| attack | events a second | of undisturbed | acknowledged, p50 | p99 |\n|---|---|---|---|---|")
        for name, lines in figures.items():
            rate, half, most = (statistics.median(line[key] for line in lines) for key in ("published_s", "ack_p50_us", "ack_p99_us"))
            print(f"| {name} | {rate:.0f} | {rate / calm:.2f} | {half / 1000:.1f} ms | {most / 1000:.1f} ms |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--attacks", default=",".join(ATTACKS))
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--build", default=str(pathlib.Path(__file__).resolve().parents[2] / "build"))
    Bench.options = parser.parse_args()
    os.environ["CASEBUS_BUILD"] = Bench.options.build
    unittest.main(argv=[sys.argv[0]], warnings="ignore")
