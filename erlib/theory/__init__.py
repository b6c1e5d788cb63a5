"""The theory: the same update by other ways, and the loss that ER never names."""
