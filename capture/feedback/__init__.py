"""Feedback in the shapes that other tools' clients send. Our own is `capture.native`."""
