"""Tests of trades find the made-up accounts and the slow ledger beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
