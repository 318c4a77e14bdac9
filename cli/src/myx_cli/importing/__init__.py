"""Servers from files: YAML, CSV and Ansible inventories."""
