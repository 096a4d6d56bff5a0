"""What tracing packages export of a call: the same natively, and through the adapter.

Each package has an environment of its own (`requirements/tracers/NAME.txt`) and a module
`kinds/NAME.py`, which starts it and reads what it exports. `make tracers` (tests/isolated.py) makes
the environments, runs the tests there and prints a table.

Tracers patch the SDK for good. So `session.py` makes all calls with one tracer in a process of its
own, and `test_records.py` compares what it wrote. `differing.py` is the one table of what may
differ, each with its reason.
"""
