"""Sentences of English and French prose, lists and tables, and the lines that introduce them."""

from langchain_gptoss.text.sentences.boundaries import find_sentences
from langchain_gptoss.text.sentences.statements import Statement, find_statements

__all__ = ["Statement", "find_sentences", "find_statements"]
