"""The run report: ``report.html`` for people, ``metrics.json`` for programs."""

from edgeclf_training.report.write import write_report

__all__ = ["write_report"]
