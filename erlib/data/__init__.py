"""Image data by name or from your own files: found, verified, scaled."""
