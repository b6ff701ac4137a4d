"""What a power cut can leave of a disk.

A Disk is played from a tape of the shim: it knows what was synced, and what was only written. image(chance) is one of the
many things that may be found afterwards: of what no sync has covered, any part is there, sector by sector; a file may not
have grown although its data came, or have grown without it (zeros); a name that was made, moved or removed may not have
been, as long as its directory was not synced.

What is believed of the disk: a sector of 512 bytes is written whole or not at all, a rename is done or not, and a sync that
has returned has told the truth.
"""
import os
import pathlib
import struct

SECTOR = 512
PAGE = 4096
HEAD = struct.Struct("<IIQQQQII")
WRITE, RESIZE, SYNC_BEGIN, SYNC_END, CREATE, RENAME, UNLINK, MKDIR, RMDIR, UNFIT = range(1, 11)
DURABLE = 1
PASSING = {"lock", "lock.mdb", "hub.sock"}  # mean nothing after a power cut
ZEROS = bytes(PAGE)


class Op:
    __slots__ = ("kind", "flags", "time_ns", "inode", "offset", "size", "name", "data")

    def __init__(self, head, name, data):
        self.kind, self.flags, self.time_ns, self.inode, self.offset, self.size = head[:6]
        self.name = name
        self.data = data

    def __repr__(self):
        names = "write resize sync-begin sync-end create rename unlink mkdir rmdir unfit".split()
        return f"{names[self.kind - 1]} {self.name or self.inode} at {self.offset} of {self.size}"


def read_tape(path):
    ops = []
    with open(path, "rb") as file:
        tape = file.read()
    at = 0
    while at + HEAD.size <= len(tape):
        head = HEAD.unpack_from(tape, at)
        at += HEAD.size
        name = tape[at:at + head[6]].decode()
        at += head[6]
        data = tape[at:at + head[7]]
        at += head[7]
        ops.append(Op(head, name, data))
    unfit = [op for op in ops if op.kind == UNFIT]
    if unfit:
        raise AssertionError(f"the tape cannot tell what was done: {unfit}")
    return ops


class Content:
    """Bytes of a file: pages that are not zeros, and a size."""

    def __init__(self, pages=None, size=0):
        self.pages = pages if pages is not None else {}
        self.size = size

    def copy(self):
        return Content(dict(self.pages), self.size)

    def put(self, offset, size, data):
        """data: b"" for zeros"""
        end = offset + size
        self.size = max(self.size, end)
        at = offset
        while at < end:
            page, skip = divmod(at, PAGE)
            n = min(PAGE - skip, end - at)
            piece = data[at - offset:at - offset + n] if data else ZEROS[:n]
            if n < PAGE:
                old = self.pages.get(page, ZEROS)
                piece = old[:skip] + piece + old[skip + n:]
            if piece == ZEROS:
                self.pages.pop(page, None)
            else:
                self.pages[page] = bytes(piece)
            at += n

    def resize(self, size):
        if size < self.size:
            for page in [page for page in self.pages if page * PAGE >= size]:
                del self.pages[page]
            skip = size % PAGE
            old = self.pages.get(size // PAGE)
            if skip and old:
                self.pages[size // PAGE] = old[:skip] + ZEROS[skip:]
        self.size = size

    def write_to(self, path):
        with open(path, "wb") as file:
            for page, data in self.pages.items():
                os.pwrite(file.fileno(), data, page * PAGE)
            os.ftruncate(file.fileno(), self.size)
        os.chmod(path, 0o600)

    @staticmethod
    def of_file(path):
        content = Content()
        with open(path, "rb") as file:
            data = file.read()
        content.put(0, len(data), data)
        return content


class File:
    def __init__(self, content=None):
        self.synced = content or Content()
        self.pending = []  # (index, op)
        self.begun = {}  # number of a sync -> how many were pending then

    def add(self, index, op):
        self.pending.append((index, op))

    @staticmethod
    def play(content, op):
        if op.kind == WRITE:
            content.put(op.offset, op.size, op.data)
        else:
            content.resize(op.offset)

    def sync(self, begun):
        """All that was pending when it began is on the disk now."""
        while self.pending and self.pending[0][0] < begun:
            self.play(self.synced, self.pending.pop(0)[1])

    def image(self, chance, manner):
        if not self.pending:
            return self.synced
        content = self.synced.copy()
        sizes = [content.size]
        for index, (_, op) in enumerate(self.pending):
            sizes.append(op.offset if op.kind == RESIZE else max(sizes[-1], op.offset + op.size))
            if op.flags & DURABLE:
                self.play(content, op)
                sizes = [max(sizes[-1], content.size)]
                continue
            fate = manner.fate(chance, index, len(self.pending))
            if fate == "whole":
                self.play(content, op)
            elif fate == "torn" and op.kind == WRITE:
                self.tear(content, op, chance)
        content.resize(manner.size(chance, sizes))
        return content

    @staticmethod
    def tear(content, op, chance):
        """Some of its sectors."""
        grain = SECTOR if op.size <= 128 * SECTOR else op.size // 64 // SECTOR * SECTOR
        begin = op.offset
        while begin < op.offset + op.size:
            end = min((begin // grain + 1) * grain, op.offset + op.size)
            if chance.random() < 0.5:
                data = op.data[begin - op.offset:end - op.offset] if op.data else b""
                content.put(begin, end - begin, data)
            begin = end


class Folder:
    def __init__(self):
        self.now = {}
        self.synced = {}
        self.pending = []  # (index, changes): name -> child or None

    def apply(self, index, changes):
        self.play(self.now, changes)
        self.pending.append((index, changes))

    @staticmethod
    def play(names, changes):
        for name, child in changes:
            if child is None:
                names.pop(name, None)
            else:
                names[name] = child

    def sync(self, begun):
        while self.pending and self.pending[0][0] < begun:
            self.play(self.synced, self.pending.pop(0)[1])

    def image(self, chance, manner):
        names = dict(self.synced)
        for index, (_, changes) in enumerate(self.pending):
            if manner.fate(chance, index, len(self.pending)) != "none":
                self.play(names, changes)
        return names


class Manner:
    """How a disk loses: nothing, all, the end of what came last, or anything."""

    def __init__(self, chance):
        self.kind = chance.choice(["all", "none", "prefix", "any", "any", "torn"])
        self.reach = chance.random()

    def fate(self, chance, index, n):
        if self.kind == "all":
            return "whole"
        if self.kind == "none":
            return "none"
        if self.kind == "prefix":
            there = index < self.reach * n
            return "whole" if there else "torn" if index < self.reach * n + 1 else "none"
        return chance.choice(["whole", "none", "torn"] if self.kind == "any" else ["whole", "torn", "torn"])

    def size(self, chance, sizes):
        if self.kind == "all":
            return sizes[-1]
        if self.kind == "none":
            return sizes[0]
        return sizes[-1] if chance.random() < 0.6 else chance.choice(sizes)


class Disk:
    def __init__(self, root):
        """Begins with what lies in the directory now, all of it synced."""
        self.root_path = str(root)
        self.index = 0
        self.inodes = {}
        self.syncs = {}
        self.root = self._load(pathlib.Path(root))

    def _load(self, path):
        folder = Folder()
        self.inodes[path.stat().st_ino] = folder
        for entry in path.iterdir():
            if entry.name in PASSING:
                continue
            child = self._load(entry) if entry.is_dir() else File(Content.of_file(entry))
            self.inodes[entry.stat().st_ino] = child
            folder.now[entry.name] = folder.synced[entry.name] = child
        return folder

    def _folder(self, path):
        """The folder and the last name of a path."""
        parts = [part for part in os.path.relpath(path, self.root_path).split("/") if part != "."]
        folder = self.root
        for part in parts[:-1]:
            folder = folder.now[part]
        return folder, parts[-1]

    def play(self, op):
        index = self.index
        self.index += 1
        if op.kind in (WRITE, RESIZE):
            self.inodes[op.inode].add(index, op)
        elif op.kind == SYNC_BEGIN:
            self.syncs[op.inode, op.offset] = index
        elif op.kind == SYNC_END:
            self.inodes[op.inode].sync(self.syncs.pop((op.inode, op.offset)))
        elif op.kind in (CREATE, MKDIR):
            child = File() if op.kind == CREATE else Folder()
            self.inodes[op.inode] = child
            folder, name = self._folder(op.name)
            folder.apply(index, [(name, child)])
        elif op.kind == RENAME:
            old, new = op.name.split("\0")
            (folder, old_name), (target, new_name) = self._folder(old), self._folder(new)
            child = folder.now[old_name]
            if folder is not target:
                raise AssertionError(f"a rename from folder to folder: {op.name!r}")
            folder.apply(index, [(new_name, child), (old_name, None)])
        elif op.kind in (UNLINK, RMDIR):
            folder, name = self._folder(op.name)
            folder.apply(index, [(name, None)])

    def image(self, target, chance, under=None):
        """Writes what a cut may leave now, of all or of one folder, into the directory, which is emptied first. Says how."""
        manner = Manner(chance)
        self._write(self.root.now[under] if under else self.root, pathlib.Path(target), chance, manner)
        return manner.kind

    def _write(self, folder, target, chance, manner):
        if target.exists():
            self._clear(target)
        else:
            target.mkdir(mode=0o700)
        for name, child in sorted(folder.image(chance, manner).items()):
            if isinstance(child, Folder):
                self._write(child, target / name, chance, manner)
            else:
                child.image(chance, manner).write_to(target / name)

    @staticmethod
    def _clear(path):
        for entry in path.iterdir():
            if entry.is_dir():
                Disk._clear(entry)
                entry.rmdir()
            else:
                entry.unlink()


def cuts(disk, ops, points, chance):
    """Plays the tape and stops before each of the points (sorted indices into ops); what is just being done may be done in part."""
    done = 0
    for point in points:
        while done < point:
            disk.play(ops[done])
            done += 1
        yield point
