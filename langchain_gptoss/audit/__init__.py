"""Audit: a tamper-evident log of answers, their passages and models, and its verification."""

from langchain_gptoss.audit.intents import AnswerIntent
from langchain_gptoss.audit.log import AuditLog, Receipt
from langchain_gptoss.audit.masking import Detector, Masker
from langchain_gptoss.audit.privacy_filter import PrivacyFilter
from langchain_gptoss.audit.provenance import get_provenance, get_sampling
from langchain_gptoss.audit.pruning import PruneResult, prune
from langchain_gptoss.audit.queries import find_entry, read_entries, read_last_entries
from langchain_gptoss.audit.records import AnswerRecord, RecordedPassage, generate_id
from langchain_gptoss.audit.span_decoding import Span
from langchain_gptoss.audit.verification import Problem, Verification, verify

__all__ = [
    "AnswerIntent",
    "AnswerRecord",
    "AuditLog",
    "Detector",
    "Masker",
    "PrivacyFilter",
    "Problem",
    "PruneResult",
    "Receipt",
    "RecordedPassage",
    "Span",
    "Verification",
    "find_entry",
    "generate_id",
    "get_provenance",
    "get_sampling",
    "prune",
    "read_entries",
    "read_last_entries",
    "verify",
]
