"""The live half: bridges MetaTrader 5 terminals, decides at every closed bar, trades, and writes the raw journal."""
