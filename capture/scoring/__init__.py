"""Scorers: each kind is a struct that a policy states, and a rule made from it once."""
