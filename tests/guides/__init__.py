"""The guides whose examples need packages that the main environment doesn't have."""
