"""Network inference, the authors' earlier experiment: kinetic Ising couplings, and what they are compared with."""
