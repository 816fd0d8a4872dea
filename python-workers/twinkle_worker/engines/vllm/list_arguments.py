"""Lists the arguments of `vllm serve`, from vLLM's own parser: names, kinds and choices; no help texts. For maintainers.

python -m twinkle_worker.engines.vllm.list_arguments > 0.32.json        what the installed vLLM takes
… --table engine 0.26.json 0.32.json > vllm-engine-table.ts             the table of src/engines, newest version last
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from .compat import make_serve_parser

Entry = dict[str, Any]
"""
name: without dashes in front
aliases: other spellings with their dashes; never the ``--no-`` form
section: ``frontend`` (the HTTP server's) or ``engine``
kind: boolean, integer, number, string, json or list
item: of a list, the kind of its items
negatable: a boolean that has a ``--no-`` form
suffixes: an integer that may be written 8k (×1000) or 8K (×1024)
text: JSON, or plain text
bare: it may come without a value
none: the word None is a value
choices: sorted; absent where others are taken, too
"""

_FLAGS = ("negatable", "suffixes", "text", "bare", "none")


def list_arguments(parser: argparse.ArgumentParser) -> list[Entry]:
    """Every named argument of the parser, by name."""
    entries: list[Entry] = []
    for group in parser._action_groups:
        section = "frontend" if group.title in ("Frontend", "options") else "engine"
        named = (action for action in group._group_actions if action.option_strings and action.dest != "help")
        entries.extend({**_describe(action), "section": section} for action in named)
    return sorted(entries, key=lambda entry: entry["name"])


def _describe(action: argparse.Action) -> Entry:
    spellings = [word for word in action.option_strings if not word.startswith("--no-")]
    name = next(word for word in spellings if word.startswith("--"))
    entry: Entry = {"name": name[2:], "aliases": [word for word in spellings if word != name]}
    if action.nargs == 0:
        return {**entry, "kind": "boolean", "negatable": isinstance(action, argparse.BooleanOptionalAction)}
    kind = _kind(action.type)
    if action.nargs in ("+", "*") or isinstance(action.nargs, int) or isinstance(action, argparse._AppendAction):
        kind = {"kind": "list", "item": kind.pop("kind"), **kind}
    entry.update(kind)
    if action.nargs == "?":
        entry["bare"] = True
    # A type of its own may rewrite what was typed before the choices are looked at.
    if action.choices and _kind_of_function(action.type) is not None:
        entry["choices"] = sorted(str(choice) for choice in action.choices if choice not in (None, "None"))
    return entry


def _kind(converter: Any) -> Entry:
    name = getattr(converter, "__qualname__", "")
    if name.endswith(("_optional_type", "_parse_type")):
        inner = _kind(inspect.getclosurevars(converter).nonlocals["return_type"])
        return {**inner, "none": True} if name.endswith("_optional_type") else inner
    return _kind_of_function(converter) or {"kind": "string"}


def _kind_of_function(converter: Any) -> Entry | None:
    """None: a function that is not known, so its argument is text."""
    name = getattr(converter, "__qualname__", "")
    if name.endswith(("_optional_type", "_parse_type")):
        return _kind_of_function(inspect.getclosurevars(converter).nonlocals["return_type"])
    if converter is None or converter is str:
        return {"kind": "string"}
    if converter is int:
        return {"kind": "integer"}
    if converter is float:
        return {"kind": "number"}
    if name.startswith("human_readable_int"):
        return {"kind": "integer", "suffixes": True}
    if converter is json.loads or name.endswith("parse_dataclass"):
        return {"kind": "json"}
    return {"kind": "json", "text": True} if name == "union_dict_and_str" else None


def merge(versions: dict[str, list[Entry]]) -> list[Entry]:
    """
    One list of all versions, the newest last in ``versions``: its entries count, with the choices of all. Arguments that some versions
    lack say which have them, in ``only``.
    """
    merged: dict[str, Entry] = {}
    for entries in versions.values():
        for entry in entries:
            before = merged.get(entry["name"])
            merged[entry["name"]] = _newer(entry, before) if before else entry
    for name, entry in merged.items():
        having = [version for version, entries in versions.items() if any(one["name"] == name for one in entries)]
        if len(having) < len(versions):
            entry["only"] = having
    return sorted(merged.values(), key=lambda entry: entry["name"])


def _newer(entry: Entry, before: Entry) -> Entry:
    choices = sorted({*entry.get("choices", []), *before.get("choices", [])})
    rest = {key: value for key, value in entry.items() if key != "choices"}
    return {**rest, "choices": choices} if "choices" in entry and "choices" in before else rest


def table_line(entry: Entry) -> str:
    """`name kind[:item] flags alias=… choices=… only=…`, as vllm-args.ts reads it."""
    kind = f"list:{entry['item']}" if entry["kind"] == "list" else entry["kind"]
    words = [entry["name"], kind, *(flag for flag in _FLAGS if entry.get(flag))]
    words += [f"{key}={'|'.join(entry[field])}" for key, field in _LISTS if entry.get(field)]
    return " ".join(words)


_LISTS = (("alias", "aliases"), ("choices", "choices"), ("only", "only"))


def _typescript(section: str, files: list[str]) -> str:
    versions = {Path(file).stem: json.loads(Path(file).read_text()) for file in files}
    lines = [table_line(entry) for entry in merge(versions) if entry["section"] == section]
    title = f"Arguments of `vllm serve` {' and '.join(versions)}, the {section}'s part: facts of its parser, for vllm-args.ts."
    return (
        f"/** {title}\n * Written by `python -m twinkle_worker.engines.vllm.list_arguments --table {section} …`. */\n"
        f"export const VLLM_{section.upper()}_TABLE = `\n" + "\n".join(lines) + "\n`;\n"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--table"]:
        sys.stdout.write(_typescript(sys.argv[2], sys.argv[3:]))
    else:
        # vLLM may print while it is imported.
        with contextlib.redirect_stdout(sys.stderr):
            found = list_arguments(make_serve_parser())
        json.dump(found, sys.stdout, indent=1)
