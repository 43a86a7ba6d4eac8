"""Ways of failing: density clusters of patterns. They never decide what is a duplicate."""
