"""Readers of file formats: from bytes to text with headings, pages and offsets."""
