"""Demonstrations: each module draws one figure; `python -m demos` runs them all."""
