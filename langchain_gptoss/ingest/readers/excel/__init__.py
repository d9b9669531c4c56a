"""Reader of Excel workbooks: cells as the reader of the sheet sees them, without openpyxl's limits.

openpyxl's read-only mode has neither merged cells nor hidden rows, and gives formulas or values, not both. Its full
mode takes about fifty times the memory of the file.
"""
