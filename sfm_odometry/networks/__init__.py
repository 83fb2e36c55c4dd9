"""Networks, one a module, each with its configuration."""
