"""What a trace, a signal and a failure are, and how to tell a failure from an answer."""
