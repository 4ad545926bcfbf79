"""The market of one account: quotes taken, bars and windows built, charts filled with history."""
