"""Asking a model: the only code that talks to one."""
