"""Power cuts of a backup that follows an erasure: what is found is the former copy or the new one, and the next run completes it.

    backup_cuts.py N
"""
import collections
import json
import random
import shutil
import sys
import time

import disk
import sim
from recording import harness
from hub_cuts import Owner

NEXT_EVERY = 6  # looks, one restores the copy and runs the next backup into it


class Day:
    """A hub that erased since its former backup; the tape is of the backup after that."""

    def __init__(self, world):
        self.world = world
        self.hub = world.hub().start()
        self.desk = world.office(self.hub, "desk", publish=True)
        self.dest = world.path / "dest"
        self.tell(60)
        self.rule(0)
        self.run("backup", self.hub.dir, self.dest)
        self.rule(24)
        self.erase("case-1")
        self.erase("case-2", "--parts", "form")
        self.tell(90)
        self.former = self.size(self.dest)
        self.model = disk.Disk(self.dest)
        tape = world.path / "backup.tape"
        self.run("backup", self.hub.dir, self.dest, environment=sim.recording(self.dest, tape))
        self.new = self.size(self.dest)
        self.ops = disk.read_tape(tape)

    def tell(self, n):
        self.desk.write_rows([(f"case-{i % 5}", i, "step") for i in range(n)])
        self.desk.publish()

    def rule(self, n):
        """Of the copy that lacks @n contents."""
        (self.hub.dir / "retention.yaml").write_text(f'- item: "*"\n  days: {3650 + n}\n')

    def erase(self, case, *words):
        done = self.hub.casebus("erase", "--case", case, *words, "--order", "by decision 7", "--yes")
        if done.code != 0:
            raise AssertionError(done.said)

    def run(self, *words, **more):
        done = self.world.run("casebus-hub", *words, **more)
        if done.code != 0:
            raise AssertionError(f"casebus-hub {words[0]}: {done.said}")
        return done

    @staticmethod
    def size(dest):
        return json.loads((dest / "backup.json").read_text())["size"]

    def point(self, chance):
        """Half anywhere, half near the end, where one copy becomes the other."""
        return chance.randrange(1 if chance.random() < 0.5 else len(self.ops) * 3 // 4, len(self.ops) + 1)

    # ---- after a cut ----

    def look(self, image):
        """Which copy it is."""
        said = self.run("backup", "--verify", image, environment=sim.no_sync()).out
        found = [name for name, size in (("former", self.former), ("new", self.new)) if f" {size} entries " in said]
        if len(found) != 1:
            raise AssertionError(said)
        return found[0]

    def go_on(self, image, found):
        restored = self.world.hub("restored")
        self.run("restore", image, restored.dir, "--keys", self.hub.dir / "keys", environment=sim.no_sync())
        erased = restored.verify()["erased"]
        rule = (restored.dir / "retention.yaml").read_text()
        shutil.rmtree(restored.dir)
        if f"days: {3650 + erased}\n" not in rule:
            raise AssertionError(f"the {found} copy has the settings of the other: {rule}")
        if erased != (0 if found == "former" else 24):
            raise AssertionError(f"the {found} copy lacks {erased} contents")
        self.run("backup", self.hub.dir, image, environment=sim.no_sync())
        if self.look(image) != "new" or len(list(image.glob("vault-*"))) != 1:
            raise AssertionError("the next backup did not complete the copy")


def cut_once(day, n, point, chance, image):
    state = chance.getstate()
    manner = day.model.image(image, chance)
    try:
        found = day.look(image)
        if n % NEXT_EVERY == 0:
            day.go_on(image, found)
    except AssertionError as err:
        chance.setstate(state)
        kept = sim.keep("backup", lambda target: day.model.image(target, chance))
        raise AssertionError(f"cut ({manner}) before operation {point} of {len(day.ops)} ({day.ops[point - 1]}): {err}\n"
                             f"kept: {kept}") from err
    return found


def main():
    n = int(sys.argv[1])
    chance = sim.chance("backup")
    world = harness.World(Owner())
    began = time.monotonic()
    counts = collections.Counter()
    with sim.space() as space:
        try:
            day = Day(world)
            points = sorted(day.point(chance) for _ in range(n))
            own = random.Random(chance.random())
            for i, point in enumerate(sim.told(disk.cuts(day.model, day.ops, points, own), len(points))):
                counts[cut_once(day, i, point, own, space / "image")] += 1
        finally:
            world.close()
    print(f"{n} power cuts of a backup in {len(day.ops)} operations: every copy is whole {dict(counts)}"
          f" in {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
