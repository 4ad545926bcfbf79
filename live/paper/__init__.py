"""The simulated MetaTrader 5 terminal: its own process, a client of the bridge that speaks the protocol of a real one."""
