"""Background work with progress: huey queues it, the table ``job`` says how far it is."""
