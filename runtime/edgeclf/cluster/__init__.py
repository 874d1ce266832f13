"""Many photos on many machines: Ray Data does the distributing, edgeclf the predicting (extra ``[ray]``).

    >>> from edgeclf import cluster
    >>> dataset = cluster.predict("s3://survey/2026/", "birds.onnx", address="auto")
    >>> dataset.filter(lambda row: row["unknown"]).write_parquet("to-review/")

Answers are those of ``Classifier.predict_many``, bit for bit. Ray is imported when a function is called, not before.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeclf.cluster.evaluation import evaluate
    from edgeclf.cluster.job import Counts
    from edgeclf.cluster.predictions import predict, predict_into

_HOME = {"Counts": "job", "evaluate": "evaluation", "predict": "predictions", "predict_into": "predictions"}

__all__ = ["Counts", "evaluate", "predict", "predict_into"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'edgeclf.cluster' has no attribute {name!r}")
    return getattr(import_module(f"edgeclf.cluster.{_HOME[name]}"), name)
