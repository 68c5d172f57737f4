"""Simulated perturbation data, after the paper's "Simulated data (based on real networks)"."""
