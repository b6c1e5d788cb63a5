"""What a cell of a notebook calls: parameters, records, tables, figures, kept pieces."""
