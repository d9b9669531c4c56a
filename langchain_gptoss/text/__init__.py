"""Shared text analysis: languages, normalization, sentences, words, search terms, quantities, names, polarity."""
