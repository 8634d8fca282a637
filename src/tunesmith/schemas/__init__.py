"""The contract: what tools take and return, what is stored, and which errors there are.

Imports pydantic and the standard library, nothing else.
"""
