"""The durable core: directories, journal, leases, host, executor. Standard library and schemas only."""
