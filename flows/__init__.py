"""Prefect: where and when, never what."""
