"""The sidecar's disk spool: what the stream does not take now is kept, and sent in order later."""
