"""Earlier import paths of `adapter.tools`; they work until the release after this one."""
