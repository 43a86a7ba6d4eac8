"""The processes, and the only code that touches the world."""
