"""What each kind of deployment does, as steps."""
