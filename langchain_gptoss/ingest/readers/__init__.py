"""Readers: one module per family of file formats, from bytes to text with pages, titles and headings."""
