"""Runs every demo: those of the report, gradients, explore and report."""

from demos import explore, gradients, report, settings

DEMOS = (*report.DEMOS, gradients, explore, report)

if __name__ == "__main__":
    settings.start("python -m demos", __doc__, None, *(demo.run for demo in DEMOS), hidden=())
