"""The HTTP side: the only home of FastAPI."""
