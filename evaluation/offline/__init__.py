"""Models compared on what users chose later: `run.evaluate` makes one pass of lists, `result` holds what came of it.

`candidates` says what may be listed, `groups` who and what is looked at apart, `rankers` takes lists made elsewhere,
`comparison` tells whether a difference is real, `tables` writes it down.
"""

from evaluation.offline.one_pass import Ranker
from evaluation.offline.result import ModelKey, OfflineResult, SegmentResult
from evaluation.offline.run import SEGMENTS, evaluate

__all__ = ["SEGMENTS", "ModelKey", "OfflineResult", "Ranker", "SegmentResult", "evaluate"]
