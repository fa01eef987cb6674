"""The stages of a study, in order."""

from study.rehearsal import REHEARSAL
from study.run import Stage
from study.stages.experiment import AB
from study.stages.features import FEATURES
from study.stages.fit import FIT, OFFLINE_FIT, SPLIT
from study.stages.ingest import INGEST
from study.stages.looks import LOOKS
from study.stages.offline import OFFLINE
from study.stages.report import REPORT

ALL: tuple[Stage, ...] = (INGEST, SPLIT, LOOKS, FEATURES, FIT, OFFLINE_FIT, OFFLINE, AB, REHEARSAL, REPORT)
FITTING: tuple[Stage, ...] = (INGEST, LOOKS, FEATURES, FIT)

OFFLINE_CHAIN: tuple[Stage, ...] = (INGEST, SPLIT, LOOKS, FEATURES, OFFLINE_FIT, OFFLINE)

__all__ = ["ALL", "FITTING", "OFFLINE_CHAIN"]
