"""Unpacks a folder that a program has put. A script of its own, which the node runs: it imports nothing of ours.

``python unpack.py ZIP FOLDER`` prints how many bytes the files have; for a file that would leave FOLDER, or is too large, it ends with 1.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import zipfile

LARGEST = 512 * 1024 * 1024
"""Bytes of the files of one folder."""


class Refused(Exception):
    """What is wrong, in words."""


def unpack(path: str, into: str, largest: int = LARGEST) -> int:
    """Files are for reading only: all workers share them. Raises Refused; then the folder may have some of them."""
    total = 0
    os.mkdir(into, 0o700)
    try:
        with zipfile.ZipFile(path) as packed:
            entries = packed.infolist()
            for entry in entries:
                _check(entry)
                total += entry.file_size
                if total > largest:
                    raise Refused(f"its files have more than {largest // 1024**2} MiB")
            for entry in entries:
                _write(packed, entry, os.path.join(into, *_parts(entry.filename)))
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise Refused(f"it is no zip file that can be read: {error}") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise Refused(f"it has two entries for `{error.filename}`") from error
    return total


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def _check(entry: zipfile.ZipInfo) -> None:
    name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
    if name.startswith("/") or "\0" in name or "\\" in name or ".." in name.split("/") or not _parts(name):
        raise Refused(f"`{name}` would lie outside of the folder")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise Refused(f"`{name}` is neither a file nor a folder")


def _write(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, place: str) -> None:
    if entry.is_dir():
        os.makedirs(place, 0o700, exist_ok=True)
        return
    os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
    mode = 0o500 if (entry.external_attr >> 16) & 0o100 else 0o400
    target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with packed.open(entry) as source, os.fdopen(target, "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


if __name__ == "__main__":
    try:
        print(unpack(sys.argv[1], sys.argv[2]))
    except (Refused, OSError) as error:
        sys.exit(str(error))
