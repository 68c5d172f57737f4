"""Programs and containers of the user's, and the folder through which they speak."""
