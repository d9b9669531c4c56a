"""What was answered, from what and by which model: an append-only, hash-chained log, and how to check it."""

from langchain_gptoss.audit.log import AuditLog, Receipt
from langchain_gptoss.audit.masking import Masker
from langchain_gptoss.audit.provenance import provenance, sampling
from langchain_gptoss.audit.pruning import Pruned, prune
from langchain_gptoss.audit.queries import find, last
from langchain_gptoss.audit.records import AnswerRecord, RecordedPassage, new_id
from langchain_gptoss.audit.verification import Problem, Verification, read_entries, verify

__all__ = [
    "AnswerRecord",
    "AuditLog",
    "Masker",
    "Problem",
    "Pruned",
    "Receipt",
    "RecordedPassage",
    "Verification",
    "find",
    "last",
    "new_id",
    "provenance",
    "prune",
    "read_entries",
    "sampling",
    "verify",
]
