"""The grammar of gene regulatory networks: what makes a regression a forecast."""
