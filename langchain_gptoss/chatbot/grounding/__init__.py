"""Grounding of answers: passages, the answer stream, claim support, citations, abstention, and their calibration."""
