"""What the simulators share: where programs are, the shim's settings, a place for files, chance."""
import contextlib
import mmap
import os
import pathlib
import random
import shutil
import struct
import sys
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CASEBUS_BUILD", REPO / "build")).resolve()
BIN = BUILD / "bin"
HELPERS = BUILD / "tests"
SHIM = HELPERS / "sim_shim.so"
SEED = int(os.environ.get("CASEBUS_SEED") or random.SystemRandom().randrange(1 << 32))
os.environ["CASEBUS_SEED"] = str(SEED)  # the end-to-end harness takes the same
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "en", "NO_COLOR": "1"}
ENVIRONMENT.pop("JOURNAL_STREAM", None)
TELL_S = 30  # between two words about how far a long run is
SYNC_US = 300  # what a sync takes while a tape runs

WRITE, SYNC, RENAME, CREATE, RESIZE, UNLINK, ALLOCATE = 1, 2, 4, 8, 16, 32, 64
COUNT, ONCE, EVER, KILL, SHORT, ROOM = range(6)


def chance(salt=""):
    print(f"CASEBUS_SEED={SEED}", flush=True)
    return random.Random(f"{SEED}{salt}")


def recording(folder, tape):
    """The environment of a program whose changes of the folder are to be written down."""
    return {"LD_PRELOAD": str(SHIM), "CASEBUS_SIM_DIR": str(folder), "CASEBUS_SIM_TAPE": str(tape),
            "CASEBUS_SIM_SYNC_US": str(SYNC_US)}


def no_sync():
    """For programs that only look at an image: syncing it is of no use."""
    return {"LD_PRELOAD": str(SHIM), "CASEBUS_SIM_SYNC_US": "0"}


class Control:
    """The page that tells the shim of a program which call fails."""
    FIELDS = ("armed", "classes", "nth", "action", "error", "seen", "hits", "room", "threads")

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.write_bytes(bytes(4096))
        with open(self.path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)

    def environment(self, folder):
        return {"LD_PRELOAD": str(SHIM), "CASEBUS_SIM_DIR": str(folder), "CASEBUS_SIM_CONTROL": str(self.path)}

    def __getattr__(self, name):
        return struct.unpack_from("<q", self.page, 8 * self.FIELDS.index(name))[0]

    def put(self, **values):
        for name, value in values.items():
            struct.pack_into("<q", self.page, 8 * self.FIELDS.index(name), value)
        return self

    def arm(self, classes, nth=0, action=COUNT, error=0, **more):
        return self.put(armed=0, classes=classes, nth=nth, action=action, error=error, seen=0, hits=0, **more).put(armed=1)

    def disarm(self):
        return self.put(armed=0)


def told(steps, total):
    """The steps, telling on the standard error how far they are when it takes long."""
    due = time.monotonic() + TELL_S
    for n, step in enumerate(steps):
        if time.monotonic() >= due:
            due += TELL_S
            print(f"{pathlib.Path(sys.argv[0]).name}: {n} of {total}", file=sys.stderr, flush=True)
        yield step


@contextlib.contextmanager
def space():
    """A folder for files, in memory when there is enough of it."""
    base = "/dev/shm" if shutil.disk_usage("/dev/shm").free > 2 << 30 else None
    path = pathlib.Path(tempfile.mkdtemp(prefix="casebus-sim-", dir=base))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def keep(name, make):
    """Keeps what a failed check was about, outside of what is removed."""
    target = pathlib.Path(tempfile.mkdtemp(prefix=f"casebus-sim-{name}-kept-"))
    make(target)
    return target
