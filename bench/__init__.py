"""Benchmarks: ours, its peers and the limit of the hardware side by side, in one run, on copies of one database."""
