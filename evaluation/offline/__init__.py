"""Models compared on what users chose later: `run.evaluate` makes one pass of lists, `result` holds what came of it.

`candidates` says what may be listed, `groups` who and what is looked at apart, `rankers` takes lists made elsewhere,
`aspects` is what lists are held against beyond hits, `beyond` and `further` what comes of it,
`comparison` tells whether a difference is real, `tables` writes it down.
"""

from evaluation.offline.aspects import ListAspects
from evaluation.offline.one_pass import Ranker
from evaluation.offline.result import ModelKey, OfflineResult, SegmentResult
from evaluation.offline.run import SEGMENTS, evaluate

__all__ = ["SEGMENTS", "ListAspects", "ModelKey", "OfflineResult", "Ranker", "SegmentResult", "evaluate"]
