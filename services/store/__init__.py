"""What is remembered: ports beside their callers, tables and SQL here, the only home of SQLAlchemy."""
