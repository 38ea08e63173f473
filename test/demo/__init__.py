"""The demonstration that `make demo` gives."""
