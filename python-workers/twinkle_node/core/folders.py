"""Folders of a program for its workers: which files they have, under which key, and how they come to the node."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigError
from .ignore import Rule, is_ignored, rules_of
from .protocol import FolderPart
from .unpack import LARGEST

if TYPE_CHECKING:
    from .client import Client

ALWAYS_OUT = rules_of((".git", ".venv/", "venv/", "__pycache__/"))
PART = 8 * 1024 * 1024
_known: dict[str, tuple[tuple[int, int, int], bytes]] = {}
"""Path → (size, time and number of the file, digest of its content): who asks again reads only what has changed."""


class Entry(NamedTuple):
    """A file, or a folder, whose name ends with a slash. ``name``: within the folder that is packed."""

    name: str
    path: str
    stat: os.stat_result

    @property
    def runs(self) -> bool:
        """It may be executed."""
        return bool(self.stat.st_mode & 0o100)


def entries_of(folder: str, excludes: Sequence[str]) -> list[Entry]:
    """What is in it, in a fixed order, without what its .gitignore files and ``excludes`` leave out. Links are followed."""
    return list(_walk(folder, "", [("", ALWAYS_OUT)], [("", rules_of(excludes))], frozenset()))


def _walk(
    root: str,
    within: str,
    rules: list[tuple[str, list[Rule]]],
    more: list[tuple[str, list[Rule]]],
    above: frozenset[str],
) -> Iterator[Entry]:
    here = os.path.join(root, within)
    real = os.path.realpath(here)
    if real in above:
        return  # a link to a folder that it lies in
    try:
        with open(os.path.join(here, ".gitignore"), encoding="utf-8", errors="surrogateescape") as file:
            rules = [*rules, (within, rules_of(file))]
    except OSError:
        pass  # it has none
    for name in sorted(os.listdir(here)):
        path = f"{within}{name}"
        is_folder = os.path.isdir(os.path.join(here, name))
        if is_ignored(path, is_folder, rules) or is_ignored(path, is_folder, more):
            continue
        try:
            found = os.stat(os.path.join(here, name))
        except OSError:
            continue  # a link to nothing
        if is_folder:
            yield Entry(f"{path}/", os.path.join(here, name), found)
            yield from _walk(root, f"{path}/", rules, more, above | {real})
        elif os.path.isfile(os.path.join(here, name)):
            yield Entry(path, os.path.join(here, name), found)


def put_folder(client: Client, folder: str, excludes: Sequence[str], prefix: str = "") -> str:
    """Have it with the node, below ``prefix``; its key. A zip file is taken as it is. Raises ConfigError for one that is too large."""
    if os.path.isfile(folder):
        return _put_zip(client, folder)
    entries = entries_of(folder, excludes)
    _check_size(folder, entries)
    key = _key(prefix, ((entry, _digest(entry)) for entry in entries))
    if _has(client, key):
        return key
    with tempfile.TemporaryFile() as file:
        key = _pack(file, prefix, entries)
        _put(client, key, file)
    return key


def _put_zip(client: Client, path: str) -> str:
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError("CONFIG_INVALID", f"`{path}` is no zip file that can be read: {error}") from error
    if size > LARGEST:
        raise ConfigError("CONFIG_INVALID", f"the files of `{path}` have {_mib(size)}, more than {_mib(LARGEST)}")
    with open(path, "rb") as file:
        key = hashlib.file_digest(file, "sha256").hexdigest()
        if not _has(client, key):
            _put(client, key, file)
    return key


def _has(client: Client, key: str) -> bool:
    return bool(client.link.call("folder.has", {"key": key})[0])


def _put(client: Client, key: str, file: Any) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    for at in range(0, max(size, 1), PART):
        client.link.call("folder.put", FolderPart(key, at, at + PART >= size), [file.read(PART)])


def _pack(file: Any, prefix: str, entries: Sequence[Entry]) -> str:
    """Write a zip file. The key of what is in it, which may have changed since it was looked at."""
    packed: list[tuple[Entry, bytes]] = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for entry in entries:
            info = zipfile.ZipInfo(prefix + entry.name)
            info.external_attr = (0o700 if entry.runs else 0o600) << 16
            digest = hashlib.sha256()
            if entry.name.endswith("/"):
                archive.writestr(info, b"")
            else:
                with open(entry.path, "rb") as source, archive.open(info, "w", force_zip64=True) as target:
                    while chunk := source.read(1 << 20):
                        digest.update(chunk)
                        target.write(chunk)
            packed.append((entry, b"" if entry.name.endswith("/") else digest.digest()))
    return _key(prefix, packed)


def _key(prefix: str, entries: Any) -> str:
    whole = hashlib.sha256(f"{prefix}\n".encode())
    for entry, digest in entries:
        name = entry.name.encode("utf-8", "surrogateescape")
        whole.update(b"%d:%s%d%s" % (len(name), name, entry.runs, digest))
    return whole.hexdigest()


def _digest(entry: Entry) -> bytes:
    if entry.name.endswith("/"):
        return b""
    now = (entry.stat.st_size, entry.stat.st_mtime_ns, entry.stat.st_ino)
    known = _known.get(entry.path)
    if known is not None and known[0] == now:
        return known[1]
    with open(entry.path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    _known[entry.path] = (now, digest)
    return digest


def _check_size(folder: str, entries: Sequence[Entry]) -> None:
    files = [entry for entry in entries if not entry.name.endswith("/")]
    size = sum(entry.stat.st_size for entry in files)
    if size <= LARGEST:
        return
    largest = sorted(files, key=lambda entry: -entry.stat.st_size)[:5]
    named = ", ".join(f"{entry.name} ({_mib(entry.stat.st_size)})" for entry in largest)
    raise ConfigError(
        "CONFIG_INVALID",
        f"`{folder}` has {_mib(size)}, more than the {_mib(LARGEST)} that a folder of `runtime_env` may have; "
        f"the largest files: {named}; leave some out with .gitignore or `excludes`",
    )


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.0f} MiB"
