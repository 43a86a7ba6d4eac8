"""How a pattern becomes an eval case, and which set it belongs to."""
