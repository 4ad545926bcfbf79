"""How things rest on disk and in databases: journal, lake, releases, registry, PostgreSQL."""
