"""The asset graph: when each table is made, from what, and where it is kept. What the tables mean is in `core`."""
