"""Power cuts of a segment log, of its recovery, and of what comes behind that.

    log_cuts.py N        N cuts (CASEBUS_SEED, CASEBUS_BUILD)

A log works under the shim; its tape is cut at random moments, and each of the images has to hold everything that was called
safe before. Some of the images then work on under a tape of their own, which is cut in turn: so recovery itself is cut, and
what older cuts left lies below newer ones.
"""
import bisect
import pathlib
import subprocess
import sys

import disk
import sim

RUN = 250  # rounds of work between two generations
GENERATION = 40  # cuts of a tape


class Checker:
    """sim_log check: one process that forks for each look."""

    def __init__(self):
        self.process = subprocess.Popen([sim.HELPERS / "sim_log", "check"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**sim.ENVIRONMENT, **sim.no_sync()})

    def look(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def run(folder, tape):
    """Works on the log in the folder; what it said: (time, word, number)."""
    pathlib.Path(tape).unlink(missing_ok=True)
    done = subprocess.run([sim.HELPERS / "sim_log", "run", folder, str(RUN)], capture_output=True, text=True, timeout=120,
                          env={**sim.ENVIRONMENT, **sim.recording(folder, tape)})
    if done.returncode != 0:
        raise AssertionError(f"sim_log: {done.stdout[-500:]}{done.stderr[-500:]}")
    return [(int(time), word, int(number)) for word, number, time in map(str.split, done.stdout.splitlines())]


def said_before(said, word, time_ns, otherwise):
    end = bisect.bisect_left([time for time, *_ in said], time_ns)
    return max([number for _, what, number in said[:end] if what == word], default=otherwise)


def cut_all(n, chance, space):
    checker = Checker()
    image, work, tape = space / "image", space / "log", space / "tape"
    counts, floor = {}, (0, 0)  # what was trimmed and safe when this generation began
    done = 0
    work.mkdir()
    while done < n:
        model = disk.Disk(work)
        said = run(work, tape)
        ops = disk.read_tape(tape)
        points = sorted(chance.randrange(1, len(ops) + 1) for _ in range(min(GENERATION, n - done)))
        heir = chance.choice(points)
        inherited = None
        for point in disk.cuts(model, ops, points, chance):
            time_ns = ops[point - 1].time_ns
            trimmed = said_before(said, "trim", time_ns, floor[0])
            safe = said_before(said, "safe", time_ns, floor[1])
            state = chance.getstate()
            manner = model.image(image, chance)
            answer = checker.look(image, trimmed, safe)
            done += 1
            counts[manner] = counts.get(manner, 0) + 1
            if not answer.startswith("ok "):
                chance.setstate(state)
                kept = sim.keep("log", lambda target: model.image(target, chance))
                raise AssertionError(f"cut {done} ({manner}) before operation {point} of {len(ops)}, trimmed {trimmed}, safe {safe}:"
                                     f" {answer}\nkept: {kept}")
            if point == heir and inherited is None:
                chance.setstate(state)
                model.image(space / "heir", chance)
                inherited = (trimmed, safe)
        disk.Disk._clear(work)
        work.rmdir()
        (space / "heir").rename(work)
        floor = inherited
    checker.close()
    return counts


def main():
    n = int(sys.argv[1])
    with sim.space() as space:
        counts = cut_all(n, sim.chance(), space)
    print(f"{n} power cuts of a segment log: nothing that was safe is gone {counts}", flush=True)


if __name__ == "__main__":
    main()
