"""One module a notebook: the experiments that its sections, and the full profile, run."""
