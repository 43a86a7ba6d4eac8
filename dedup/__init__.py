"""When two failures are the same failure."""
