"""Network inference, the authors' earlier experiment: kinetic Ising couplings, and rivals of ER."""
