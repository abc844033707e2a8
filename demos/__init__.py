"""Demonstrations: a module each; `python -m demos` runs them all."""
