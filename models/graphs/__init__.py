"""Models of a causal graph of all genes, fitted as a whole, and of signals that run along one.

For the registry of methods. ``signal_propagation`` fits the edges of a given network;
NOTEARS, NOTEARS-LR and DCD-FG find their own, with a penalty that keeps them acyclic.
"""
