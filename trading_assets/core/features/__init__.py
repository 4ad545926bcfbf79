"""What a decision sees: chart windows, features, regimes and the normaliser, one definition for both halves."""
