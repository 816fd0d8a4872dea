"""What a script defines in ``__main__`` crosses to a process that never saw the script, and comes back as its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HEAD = """
import base64, dataclasses, enum, sys
from twinkle_node.core.value import Packed, pack, unpack
import msgspec
def send(value):
    packed = pack(value)
    print(base64.b64encode(msgspec.msgpack.encode([packed.format, packed.head, list(map(bytes, packed.buffers))])).decode(), flush=True)
def receive():
    format, head, buffers = msgspec.msgpack.decode(base64.b64decode(sys.stdin.readline()))
    return unpack(format, head, buffers)
"""

SCRIPT = """
class Base:
    limit = 3
    def double(self): return helper(self.x)
class Point(Base):
    def __init__(self, x): self.x = x
    def __eq__(self, other): return type(other) is Point and other.x == self.x
    __hash__ = None
@dataclasses.dataclass
class Record:
    name: str
class Colour(enum.Enum):
    RED = 1
class Refused(ValueError):
    def __init__(self, a, b):
        super().__init__(f"{a} {b}")
        self.b = b
def helper(x): return x * factor
factor = 2
def outer(step): return lambda x: x + step
send({"point": Point(4), "class": Point, "record": Record("r"), "colour": Colour.RED, "f": helper, "g": outer(10), "error": Refused})
back = receive()
assert type(back["new"]) is Point and back["new"] == Point(9), back
assert back["record"] == Record("changed")
assert back["colour"] is Colour.RED
from twinkle_node.core.failure import unpack_error
error = unpack_error(back["error"])
assert isinstance(error, Refused) and error.b == "b", type(error)
print("well")
"""

WORKER = """
value = receive()
assert "Point" not in globals()
assert value["point"].double() == 8
assert value["class"](5).double() == 10
assert type(value["point"]) is value["class"] and value["class"].limit == 3
assert value["f"](21) == 42 and value["g"](1) == 11
value["record"].name = "changed"
from twinkle_node.core.failure import pack_error
error = pack_error(value["error"]("a", "b"), where="worker")
send({"new": value["class"](9), "record": value["record"], "colour": value["colour"], "error": error})
"""


def test_classes_functions_and_closures_of_a_script_cross_and_come_back(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    (tmp_path / "driver.py").write_text(HEAD + SCRIPT)
    (tmp_path / "worker.py").write_text(HEAD + WORKER)
    driver, worker = (
        subprocess.Popen(
            [sys.executable, str(tmp_path / name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name in ("driver.py", "worker.py")
    )
    assert driver.stdout
    sent, errors = worker.communicate(driver.stdout.readline())
    assert worker.returncode == 0, errors
    said, errors = driver.communicate(sent)
    assert (driver.returncode, said) == (0, "well\n"), errors
