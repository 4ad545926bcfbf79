"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real market data beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real market data is not at {SHARED_DATA}; put the data folder there to run this test")
    return SHARED_DATA
