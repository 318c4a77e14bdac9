"""What a server and an agent are and which changes they allow. Standard library only, no input or output."""
