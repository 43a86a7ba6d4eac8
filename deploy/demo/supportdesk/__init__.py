"""A small shop's support desk: its records, its tools, its agent and the customers who ask it."""
