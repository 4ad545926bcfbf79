"""Test folders are no packages: the harnesses and what they share are found beside their tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
