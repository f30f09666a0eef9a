"""Differentiable architecture search with the amended architectural gradient."""
