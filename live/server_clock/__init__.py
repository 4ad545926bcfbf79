"""The clock of an account's server: its rule found before a session begins, and watched while it lasts."""
