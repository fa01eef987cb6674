"""What a policy would have earned, told from the log of another one."""

from evaluation.ope.evaluate import evaluate_policy
from evaluation.ope.log import BanditLog
from evaluation.ope.policies import Scored, Table, Uniform
from evaluation.ope.reading import LogColumns, read_log
from evaluation.ope.result import OPEConfig
from evaluation.ope.reward_model import Given, Ridge
from evaluation.ope.slates import SlateLog, evaluate_slates

__all__ = [
    "BanditLog",
    "Given",
    "LogColumns",
    "OPEConfig",
    "Ridge",
    "Scored",
    "SlateLog",
    "Table",
    "Uniform",
    "evaluate_policy",
    "evaluate_slates",
    "read_log",
]
