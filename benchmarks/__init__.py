"""Measures Homeport beside its peers, in turn, on one machine; prints ratios: absolute figures do not travel."""
