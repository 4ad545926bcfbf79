"""Columns of the lake's tables, each declared once: raw from the record types, the derived ones stage by stage."""
