"""The market: time, symbols, quotes and bars. No file, no socket and no feature is here."""
