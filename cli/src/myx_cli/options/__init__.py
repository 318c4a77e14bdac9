"""The options of each command, imported only when it is called: start-up stays quick."""
