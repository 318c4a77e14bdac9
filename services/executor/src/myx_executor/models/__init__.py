"""Tables of the schema `executor`, a module per noun.

A column `sealed` is a SecretBox envelope bound to table, column and row.
"""
