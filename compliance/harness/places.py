"""Where things are."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "compliance" / "out"
VENV_BIN = ROOT / ".venv" / "bin"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
TRUNKLINE = TARGET / "trunkline"
EXAMPLES = TARGET / "examples"


def fresh_folder(name):
    """An empty folder under compliance/out: what an earlier run left there must not count for this one."""
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    return folder
