"""How MyX runs a play: standard library and ansible-runner only, the same on the host and beside the executor."""
