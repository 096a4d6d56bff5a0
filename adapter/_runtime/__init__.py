"""Where requests come in: the SDK's clients, and HTTP transports for everything else."""
