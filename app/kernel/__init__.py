"""Words every room shares; imports only the standard library."""
