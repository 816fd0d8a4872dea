"""The template's imports: what a rank needs, and nothing for a folder that no rank can load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOOK = """
import sys
from twinkle_worker.engines.hf.preload import preload
preload(sys.argv[1:])
print("torch" in sys.modules)
"""


def imports_torch(*models: str) -> bool:
    """Whether a fresh interpreter has torch after the preload of ``models``."""
    done = subprocess.run([sys.executable, "-c", LOOK, *models], capture_output=True, text=True, check=True)
    return done.stdout.strip() == "True"


def test_a_folder_that_cannot_be_loaded_costs_no_import(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert not imports_torch(str(tmp_path))
    assert not imports_torch(str(tmp_path / "nothing"), str(tmp_path))


def test_a_whole_folder_is_imported_for(tmp_path: Path) -> None:
    assert imports_torch(str(tmp_path), str(Path(__file__).parents[2] / "demo_model" / "model"))
