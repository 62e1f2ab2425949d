"""Fused operations for the CPU and the GPU, each with a twin in plain torch. Imports nothing of the project."""
