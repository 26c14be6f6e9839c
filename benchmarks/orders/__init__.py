"""Orders placed by many at once: the database, the ways to place one, and those who do."""
