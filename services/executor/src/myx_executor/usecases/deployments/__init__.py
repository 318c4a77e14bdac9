"""Deployments: playbooks and changes of agents on servers, in steps."""
