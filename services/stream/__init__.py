"""Topics in and out: the port, the loop, and its two implementations (SQLite, Kafka)."""
