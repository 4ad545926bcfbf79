"""Journals become knowledge: bars, features, signals, outcomes, labels, datasets, models, releases."""

# Travels in every decision; tests/core/decisions/test_decide.py holds it against pyproject.toml.
__version__ = "0.1.0"
