"""Shared text analysis: language, normalization, sentences, quantities, function words."""
