"""The table model that all formats share: a grid of cells in, tables with titles, column names, rows and notes out."""
