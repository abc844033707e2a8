"""The parts of gradcheck.py: what is checked, how slopes are measured, what a difference means, where else to look."""
