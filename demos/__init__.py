"""Demonstrations: a module each; `python -m demos` runs them all.

To add one, copy denoising.py, the plainest: run() measures, draws and makes a dict of results, parts() says in reading
order what they mean. With its module in DEMOS of report.py and its name as a place in report.html, `python -m demos`
and the report have it too.
"""
