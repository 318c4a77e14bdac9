"""What each `myx` command does; a module per noun, imported only when it is asked for."""
