"""How the daemon does: looked at, judged, told. Nothing here stands on the way of a quote or an order."""
