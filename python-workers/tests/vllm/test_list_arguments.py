"""The committed table of arguments against the parser of the vLLM that is installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from twinkle_worker.engines.base import LoadError
from twinkle_worker.engines.vllm.compat import make_serve_parser
from twinkle_worker.engines.vllm.list_arguments import list_arguments, merge, table_line
from twinkle_worker.engines.vllm.options import parse_arguments

# Not `vllm`: this folder has that name, too.
version = pytest.importorskip("vllm.version", reason="needs the environment of `twinkle-node setup --engine vllm`")
TABLES = Path(__file__).resolve().parents[3] / "src" / "engines"
VERSION = ".".join(version.__version__.split(".")[:2])


def committed(section: str) -> dict[str, list[str]]:
    """Name → words of its line."""
    text = (TABLES / f"vllm-{section}-table.ts").read_text()
    body = re.search(r"`\n(.*)\n`;", text, re.DOTALL)
    assert body is not None
    return {line.split(" ")[0]: line.split(" ")[1:] for line in body[1].splitlines()}


def of_this_version(words: list[str]) -> bool:
    only = next((word for word in words if word.startswith("only=")), None)
    return only is None or VERSION in only.removeprefix("only=").split("|")


def without(words: list[str], *keys: str) -> list[str]:
    return [word for word in words if not word.startswith(tuple(f"{key}=" for key in keys))]


@pytest.fixture(scope="module")
def found() -> list[dict[str, Any]]:
    return list_arguments(make_serve_parser())


@pytest.mark.parametrize("section", ["frontend", "engine"])
def test_the_table_is_what_the_parser_says(found: list[dict[str, Any]], section: str) -> None:
    table = committed(section)
    own = {entry["name"]: entry for entry in found if entry["section"] == section}
    assert {name for name, words in table.items() if of_this_version(words)} == set(own)
    for name, entry in own.items():
        # Other versions may take more choices, and say so in the same line.
        words = table_line(entry).split(" ")[1:]
        assert without(table[name], "choices", "only") == without(words, "choices"), name
        listed = [word for word in table[name] if word.startswith("choices=")]
        if listed:
            assert set(entry["choices"]) <= set(listed[0].removeprefix("choices=").split("|")), name


def test_kinds(found: list[dict[str, Any]]) -> None:
    lines = {entry["name"]: table_line(entry) for entry in found}
    assert lines["max-num-seqs"] == "max-num-seqs integer"
    assert lines["enable-lora"] == "enable-lora boolean negatable"
    assert lines["disable-log-stats"] == "disable-log-stats boolean"
    assert lines["lora-modules"] == "lora-modules list:string none"
    assert lines["cudagraph-capture-sizes"] == "cudagraph-capture-sizes list:integer"
    assert lines["compilation-config"] == "compilation-config json alias=-cc"
    assert lines["hf-overrides"] == "hf-overrides json text"
    assert lines["hf-token"] == "hf-token string bare"
    assert lines["max-num-batched-tokens"] == "max-num-batched-tokens integer suffixes"
    assert lines["dtype"].startswith("dtype string choices=auto|bfloat16")


SAMPLES: dict[str, Any] = {"boolean": True, "integer": 1, "number": 0.5, "string": "x", "json": {}, "list": ["1"]}


def test_values_of_these_kinds_are_accepted(found: list[dict[str, Any]]) -> None:
    samples = {
        entry["name"].replace("-", "_"): SAMPLES[entry["kind"]]
        for entry in found
        # Those with choices say so themselves; the config file is read at once; device ids have a form of their own.
        if "choices" not in entry and entry["name"] not in ("config", "model", "lora-modules", "device-ids")
    }
    samples |= {
        "moe_backend": "triton",
        "linear_backend": "triton",
        "lora_modules": ["a=b", {"name": "c", "path": "d"}],
    }
    samples = {name: value for name, value in samples.items() if name not in ("sparse_indexer_topk_backend",)}
    refused = {}
    for name, value in samples.items():
        try:
            parse_arguments("model", {name: value})
        except LoadError as error:
            refused[name] = str(error)
    assert refused == {}
    assert len(samples) > 200


def test_versions_are_merged() -> None:
    def entry(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "aliases": [], "kind": "string", "section": "engine", **more}

    old = [entry("a", choices=["x", "z"]), entry("gone"), entry("open"), entry("shut", choices=["x"])]
    new = [entry("a", choices=["x", "y"], none=True), entry("b"), entry("open", choices=["x"]), entry("shut")]
    assert [table_line(one) for one in merge({"1": old, "2": new})] == [
        "a string none choices=x|y|z",
        "b string only=2",
        "gone string only=1",
        "open string",
        "shut string",
    ]
